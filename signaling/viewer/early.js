/**
 * All that the page of a room has at first: it makes an offer, and where there is no
 * doubt about it, in an open room with one camera, shows the picture. What else there is
 * to a page comes after that, since a thin link is in nothing faster than in its latest
 * kilobyte; or as soon as anything is otherwise. What takes longest comes first.
 */
import { base64url, newSessionId } from './id.js';
import { linkRate, openSocket, Peer } from './peer.js';

/** the room's name */
export const room = decodeURIComponent(location.pathname.slice(1));

const isKeyed = /[#&]k=/.test(location.hash);

/** What the server wrote into the page: `iceServers` and `cameras` as in `welcome`, where it told them. */
const opening = JSON.parse(document.getElementById('opening').textContent);

/** The answer to a request that takes longer comes from afar, milliseconds. */
const FAR = 40;
/** So long the picture may take before the rest of the page is there to tell of it, milliseconds. */
const PATIENCE = 1000;

const page = document.documentElement.dataset;

/** Runs one more script of the page. A server that went away meanwhile comes back. */
export function run(src) {
  const script = Object.assign(document.createElement('script'), { src });
  script.onerror = () => setTimeout(run, 2000, src);
  document.head.append(script);
}

let isLoading = false;
let isShown = false;

/** Has the rest of the page come. */
function load() {
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', load);
  else if (!isLoading) {
    isLoading = true;
    run(`${page.viewer}start.js`);
  }
}

/**
 * @typedef {object} Early
 * @property {WebSocket} [socket] open or opening
 * @property {Peer} [peer]
 * @property {import('./session.js').CameraInfo[]} [cameras] that are there, as the page says
 * @property {string} [session] under which `peer` is offered to the first of them over the socket, after a join
 * @property {string[]} [heard] what came over the socket until somebody else listens
 */

/** @returns {Promise<Early>} */
async function begin() {
  if (!('RTCPeerConnection' in window && 'WebSocket' in window)) {
    load();
    return {};
  }
  const { iceServers, cameras } = opening;
  try {
    if (cameras?.length === 1 && !isKeyed) return { ...await knock(iceServers, cameras[0].id), cameras };
  } catch {
    // goes the way of all others
  }
  // What a key needs besides comes first: both at once would be too much for a thin link's modem.
  if (isKeyed) import(`${page.viewer}proof.js`).then(load, load);
  else load();
  return { socket: openSocket(), peer: new Peer(iceServers), cameras };
}

/**
 * Offers to the camera `to`, and follows until its picture is there: over a socket that
 * opens meanwhile or, where a round trip takes longer than an offer, with its handshake.
 */
async function knock(iceServers, to) {
  const session = newSessionId();
  const join = { type: 'join', version: 1, role: 'viewer', room, token: '' };
  const offer = () => ({ type: 'offer', to, session, sdp: peer.sdp, rate: linkRate() });
  const heard = [];
  const { requestStart, responseStart } = performance.getEntriesByType('navigation')[0] ?? {};
  let socket = responseStart - requestStart > FAR && 'CompressionStream' in window ? undefined : openSocket();
  const isEarly = !socket;
  const peer = new Peer(iceServers, isEarly ? async () => {
    socket = openSocket(['peercam', await packed([join, offer()])]);
  } : undefined);
  if (isEarly) await peer.described;
  const say = (message) => socket.send(JSON.stringify(message));
  socket.addEventListener('open', async () => {
    if (!isEarly) {
      say(join);
      await peer.described;
      say(offer());
    }
    // unless somebody else does so already
    peer.onCandidate ??= (candidate) => say({ type: 'candidate', to, session, candidate });
    peer.candidates.splice(0).forEach(peer.onCandidate);
  });
  socket.onmessage = ({ data }) => {
    heard.push(data);
    const { type, sdp, candidate } = JSON.parse(data);
    if (type === 'answer') answer(sdp).catch(load); // which tells why
    else if (type === 'candidate') candidate && peer.add(candidate).catch(() => {});
    else if (type !== 'welcome') load();
  };
  socket.onclose = load;
  // until somebody else says goodbye, too; twice does no harm
  addEventListener('pagehide', () => socket.readyState === 1 && say({ type: 'bye', to, session, code: 'left' }));
  const answer = async (sdp) => {
    await peer.offered;
    const answered = peer.answer(sdp);
    show(peer.stream);
    await answered;
  };
  // A player takes as long to make as an answer that comes from afar.
  peer.offered.then(() => isEarly && show(peer.stream), load);
  setTimeout(load, PATIENCE);
  return { socket, peer, session, heard };
}

/** Plays, once; a tile will take over what plays, unless there is one already. */
function show(srcObject) {
  if (isShown || document.querySelector('.tile')) return;
  isShown = true;
  const video = Object.assign(document.createElement('video'), { id: 'first', autoplay: true, muted: true, playsInline: true, srcObject });
  video.onloadeddata = () => setTimeout(load, 50); // it is being painted
  (document.body ?? document.documentElement).append(video);
}

/** @returns {Promise<string>} messages as the handshake of a socket takes them: PROTOCOL.md, "Early words" */
async function packed(messages) {
  const { readable, writable } = new CompressionStream('deflate-raw');
  const writer = writable.getWriter();
  writer.write(new TextEncoder().encode(JSON.stringify(messages)));
  writer.close();
  return base64url(new Uint8Array(await new Response(readable).arrayBuffer()));
}

/** What was begun; who shows the room takes it over. */
export const early = begin();
