/** @returns {WebSocket} a new socket to the server that this page came from */
export function openSocket() {
  const url = new URL('/ws', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url);
}
