/**
 * All that the page of a room has at first: where the room has one camera it makes an
 * offer, and where there is no doubt about that, shows the picture. What else there is
 * to a page comes after that, since a thin link is in nothing faster than in its latest
 * kilobyte; or as soon as anything is otherwise. What takes longest comes first.
 */
import { newSessionId } from './id.js';
import { linkRate, openSocket, Peer } from './peer.js';

/** the room's name */
export const room = decodeURIComponent(location.pathname.slice(1));

const isKeyed = /[#&]k=/.test(location.hash);
/** What is no key is for the rest of the page to tell. */
const mayKnock = !isKeyed || /[#&]k=[\w-]{22}(&|$)/.test(location.hash);
const page = document.documentElement.dataset;

/** What the server wrote into the page: PROTOCOL.md, "What the page of a room tells before". */
const opening = JSON.parse(document.getElementById('opening').textContent);
const camera = opening.cameras?.length === 1 ? opening.cameras[0] : undefined;

let holdProof;
const held = new Promise((resolve) => (holdProof = resolve));
/** @param {object} module proof.js, which is part of the page where the camera wants proofs */
export const takeProof = (module) => holdProof(module);
/** The same, where there is a key. @type {Promise<typeof import('./proof.js')>|undefined} */
export const proof = isKeyed ? camera?.nonce ? held : import(`${page.viewer}proof.js`) : undefined;

/** The answer of a camera that is near takes less, milliseconds. */
const NEAR = 30;
/** So long the picture may take before the rest of the page is there to tell of it, milliseconds. */
const PATIENCE = 1000;

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
 * @property {import('./session.js').CameraInfo[]} [cameras] that are there, as the page says, and can be offered to before `welcome`
 * @property {string} [session] under which `peer` is offered to the first of them; whoever joins over the socket names it
 * @property {string[]} [heard] what was said of it until somebody listens
 * @property {(data: string) => void} [listen] somebody does
 */

/** @returns {Early} */
function begin() {
  if (!('RTCPeerConnection' in window && 'WebSocket' in window)) {
    load();
    return {};
  }
  let peer;
  try {
    if (camera && mayKnock && Boolean(camera.nonce) === isKeyed) return knock();
    peer = new Peer(opening.iceServers);
  } catch {
    // whoever offers will tell
  }
  // What a key needs besides comes first: both at once would be too much for a thin link's modem.
  if (proof) proof.then(load, load);
  else load();
  return { socket: openSocket(), peer, cameras: opening.later ? undefined : opening.cameras };
}

/**
 * Offers to the camera over the connection that brought the page, while the socket opens
 * that takes over from it; and follows until the picture is there.
 * @returns {Early}
 */
function knock() {
  const session = newSessionId();
  const key = proof?.then(({ Key }) => Key.ofLink());
  const to = camera.id;
  const join = async () => ({ type: 'join', version: 1, role: 'viewer', room, token: (await key)?.token ?? '', session });

  let welcome, heed;
  const welcomed = new Promise((resolve) => (welcome = resolve));
  const heeded = new Promise((resolve) => (heed = resolve));
  const peer = new Peer(opening.iceServers, async (sdp) => {
    const proved = (await key)?.offerProof({ room, session, nonce: camera.nonce, offer: sdp });
    post([await join(), { type: 'offer', to, session, sdp, proof: proved, rate: linkRate() }], hear).catch((err) => {
      if (!(err instanceof Unsaid)) return; // the socket goes on
      early.session = early.cameras = undefined;
      if (socket.readyState) socket.close();
      welcome();
      load();
    });
    if (opening.later) peer.use(await welcomed);
  });

  const socket = openSocket();
  const say = (message) => socket.send(JSON.stringify(message));
  socket.addEventListener('open', async () => {
    if (!early.session) return;
    say(await join());
    await heeded; // a camera makes nothing of a candidate that overtakes its offer
    // unless somebody else does so already
    peer.onCandidate ??= (candidate) => say({ type: 'candidate', to, session, candidate });
    peer.candidates.splice(0).forEach(peer.onCandidate);
  });
  socket.onmessage = ({ data }) => hear(data);
  socket.onclose = load;
  // until somebody else says goodbye, too; twice does no harm
  addEventListener('pagehide', () => socket.readyState === 1 && say({ type: 'bye', to, session, code: 'left' }));

  const early = { socket, peer, session, cameras: opening.cameras, heard: [], listen: undefined };
  const hear = (data) => {
    if (early.listen) {
      early.listen(data);
      return;
    }
    early.heard.push(data);
    const { type, sdp, proof: proved, candidate, iceServers } = JSON.parse(data);
    if (type === 'welcome') welcome(iceServers);
    else if (type === 'answer') answer(sdp, proved).catch(load); // which tells why
    else if (type === 'candidate') candidate && peer.add(candidate).catch(() => {});
    else load();
  };
  const answer = async (sdp, proved) => {
    await peer.offered;
    if (key && !(await key).isAnswerProof(proved, { room, session, nonce: camera.nonce, offer: peer.sdp, answer: sdp })) {
      load();
      return;
    }
    const answered = peer.answer(sdp);
    heed();
    show(peer.stream);
    await answered;
  };
  // A player takes as long to make as an answer that comes from afar; one from near would wait for it.
  peer.offered.then(() => setTimeout(show, NEAR, peer.stream), load);
  setTimeout(load, PATIENCE);
  return early;
}

/** The server has not heard it. */
class Unsaid extends Error {}

/**
 * Says messages by POST: PROTOCOL.md, "Early words".
 * @param {object[]} messages
 * @param {(data: string) => void} hear is told what is answered, a message at a time
 * @throws {Unsaid}
 */
async function post(messages, hear) {
  const response = await fetch('/ws', { method: 'POST', ...await packed(JSON.stringify(messages)) }).catch(() => {});
  if (!response?.headers.get('Content-Type')?.endsWith('ndjson')) throw new Unsaid(); // a proxy's own words
  const lines = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await lines.read();
    if (done) return;
    const whole = (rest + value).split('\n');
    rest = whole.pop();
    whole.forEach(hear);
  }
}

/** @returns {Promise<RequestInit>} what makes a request with that body, by gzip where the browser can */
async function packed(body) {
  if (!('CompressionStream' in window)) return { body };
  const { readable, writable } = new CompressionStream('gzip');
  const writer = writable.getWriter();
  writer.write(new TextEncoder().encode(body));
  writer.close();
  return { body: await new Response(readable).arrayBuffer(), headers: { 'Content-Encoding': 'gzip' } };
}

/** Plays, once; a tile will take over what plays, unless there is one already. */
function show(srcObject) {
  if (isShown || document.querySelector('.tile')) return;
  isShown = true;
  const video = Object.assign(document.createElement('video'), { id: 'first', autoplay: true, muted: true, playsInline: true, srcObject });
  video.onloadeddata = () => setTimeout(load, 50); // it is being painted
  (document.body ?? document.documentElement).append(video);
}

/** What was begun; who shows the room takes it over. */
export const early = begin();
