/** Bytes as PROTOCOL.md writes them, and names for sessions. */

/** @param {Uint8Array} bytes @returns {string} base64url without padding */
export function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** @returns {string} a new session id: 16 random bytes in base64url */
export const newSessionId = () => base64url(crypto.getRandomValues(new Uint8Array(16)));
