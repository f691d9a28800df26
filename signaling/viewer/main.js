/** The page of one room. */
import { isKey, keyInHash } from './key.js';
import { early } from './peer.js';
import { Room } from './room.js';
import { Stage } from './stage.js';
import { Veil } from './tile.js';
import { words } from './words.js';

const name = decodeURIComponent(location.pathname.slice(1));
const keyText = keyInHash(location.hash);
const about = { room: name, hasKey: Boolean(keyText) };
const root = document.documentElement;
const byId = (id) => document.getElementById(id);

/** @returns {import('./policy.js').View|null} why it cannot even be tried */
function obstacle() {
  if (!('RTCPeerConnection' in window && 'WebSocket' in window)) return { state: 'refused', code: 'unsupported', detail: 'it has no WebRTC' };
  const codecs = RTCRtpReceiver.getCapabilities?.('video')?.codecs;
  if (codecs && !codecs.some((c) => c.mimeType === 'video/VP8')) return { state: 'refused', code: 'unsupported', detail: 'it cannot decode VP8' };
  if (!keyText || isKey(keyText)) return null;
  const detail = keyText.length === 22 ? 'the key after # holds a character that no key has there' : `the key after # has ${keyText.length} characters instead of 22`;
  return { state: 'refused', code: 'bad-key', detail };
}

const stopped = obstacle();
const key = keyText && !stopped ? new (await proofs()).Key(keyText) : null;
async function proofs() {
  try {
    return await import('./proof.js');
  } catch {
    // the server went away in the moment between page and module
    setTimeout(() => location.reload(), 2000);
    return new Promise(() => {});
  }
}
const room = stopped ? null : new Room({
  name, key, ...early, onChange: render,
});
if (stopped) {
  early.socket?.close();
  early.peer?.close();
}

/** Controls and the like: what can wait until there is a picture. */
let later = null;
let isLoading = false;
setTimeout(loadLater, 500);
async function loadLater() {
  if (isLoading) return;
  isLoading = true;
  try {
    const { Later } = await import('./later.js');
    later = new Later({ stage, room: name, key: keyText, say });
  } catch {
    isLoading = false;
    setTimeout(loadLater, 2000); // the server went away meanwhile
    return;
  }
  render();
}

const can = (action) => action !== 'remembered' || Boolean(later?.rememberedLink);
function act(action) {
  if (action === 'retry') room?.retry();
  else if (action === 'reload') location.reload();
  else location.assign(later.rememberedLink); // only the hash differs: hashchange does the rest
}

const veil = new Veil({ act, can });
const stage = new Stage(byId('stage'), { about, act, can, onFocus: render });
byId('stage').append(veil.node);
let announced = '';

function render() {
  if (room) stage.update(room.cameras);
  const { focused } = stage;
  const whole = stopped ?? room.view;
  const view = focused && whole.state !== 'refused' ? focused.camera.view : whole;
  if (root.dataset.state !== view.state) root.dataset.state = view.state;
  if (root.dataset.code !== view.code) root.dataset.code = view.code;

  const overAll = stage.tiles.length === 0 || (whole.state === 'refused' && room?.signaling.refusal);
  const text = words(view, about);
  veil.show(overAll ? text : null);
  veil.node.classList.toggle('over', stage.tiles.length > 0);

  byId('name').textContent = focused?.camera.name || name;
  byId('room').textContent = focused?.camera.name ? name : '';
  document.title = `${text ? `${text.title} · ` : ''}${name} – peercam`;
  const spoken = text ? `${text.title}. ${text.why}` : 'Live';
  if (spoken !== announced) say(announced = spoken);
  if (view.state === 'live' && !isLoading) setTimeout(loadLater, 50); // the picture is being painted
  later?.update(view);
}

function say(text) {
  byId('announce').textContent = text;
}

addEventListener('hashchange', () => location.reload());
addEventListener('pagehide', () => room?.close());
addEventListener('pageshow', (e) => e.persisted && location.reload());
render();
