/** The page of one room. */
import { takePeer, takeSocket } from './early.js';
import { Controls } from './controls.js';
import { isKey, Key, keyInHash } from './key.js';
import { Panel } from './panel.js';
import { linkTo, remember, rooms } from './rooms.js';
import { Room } from './room.js';
import { Stage } from './stage.js';
import { Veil } from './veil.js';
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
const room = stopped ? null : new Room({
  name, key: keyText ? new Key(keyText) : null, socket: takeSocket(), peer: takePeer(), onChange: render,
});
if (stopped) {
  takeSocket()?.close();
  takePeer()?.close();
}

const can = (action) => action !== 'remembered' || Boolean(rooms().find((r) => r.room === name && r.key));
function act(action) {
  if (action === 'retry') room?.retry();
  else if (action === 'reload') location.reload();
  else location.assign(linkTo(rooms().find((r) => r.room === name))); // only the hash differs: hashchange does the rest
}

const veil = new Veil({ act, can });
const stage = new Stage(byId('stage'), { about, act, can, onFocus: render });
byId('stage').append(veil.node);
const panel = new Panel(byId('stats'), () => stage.focused);
const controls = new Controls({ stage, panel, help: byId('help'), room: name, say });

let announced = '';
let remembered = 0;

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
  controls.update();
  if (view.state === 'live') keepInMind(focused);
}

/** At most once a minute: this browser was let in. */
function keepInMind(tile) {
  if (Date.now() - remembered < 60_000) return;
  remembered = Date.now();
  remember({ room: name, key: keyText, name: tile?.camera.name ?? '', seen: remembered });
}

function say(text) {
  byId('announce').textContent = text;
}

addEventListener('hashchange', () => location.reload());
addEventListener('pagehide', () => room?.close());
addEventListener('pageshow', (e) => e.persisted && location.reload());
render();
