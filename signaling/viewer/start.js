/** What a page of a room begins before it shows anything: the way to the server and the offers. */
import { early, proof, room, run } from './early.js';
import { isKey, keyInHash } from './key.js';
import { Room } from './room.js';

/** @param {string} keyText @returns {import('./policy.js').View|null} why it cannot even be tried */
function obstacle(keyText) {
  if (!('RTCPeerConnection' in window && 'WebSocket' in window)) return { state: 'refused', code: 'unsupported', detail: 'it has no WebRTC' };
  const codecs = RTCRtpReceiver.getCapabilities?.('video')?.codecs;
  if (codecs && !codecs.some((c) => c.mimeType === 'video/VP8')) return { state: 'refused', code: 'unsupported', detail: 'it cannot decode VP8' };
  if (!keyText || isKey(keyText)) return null;
  const detail = keyText.length === 22 ? 'the key after # holds a character that no key has there' : `the key after # has ${keyText.length} characters instead of 22`;
  return { state: 'refused', code: 'bad-key', detail };
}

/** The page as main.js finds it. */
export const page = {
  room,
  /** as it stands in the link, '' when there is none */
  key: keyInHash(location.hash),
  /** where the files of this version are */
  viewer: document.documentElement.dataset.viewer,
  /** @type {import('./policy.js').View|null} */
  stopped: null,
  /** @type {Room|null} null until there is what the key needs */
  live: null,
  onChange: () => {},
};

/** @param {import('./proof.js').Key} [key] */
function begin(key = null) {
  page.live = new Room({ name: room, key, early, onChange: () => page.onChange() });
  show();
}

/** What shows it comes last: on a thin link it would hold up what is more urgent. */
function show() {
  run(`${page.viewer}main.js`);
}

page.stopped = obstacle(page.key);
if (page.stopped) {
  early.socket?.close();
  early.peer?.close();
  show();
} else if (page.key) {
  // a server that went away meanwhile comes back
  proof.then(({ Key }) => begin(new Key(page.key)), () => setTimeout(() => location.reload(), 2000));
} else begin();
