/** What the page of one room shows. */
import { CAMERA } from './dom.js';
import { rememberRate } from './peer.js';
import { Stage } from './stage.js';
import { page } from './start.js';
import { Veil } from './tile.js';

const { room: name, key, stopped } = page;
const about = { room: name, hasKey: Boolean(key) };
const root = document.documentElement;
const byId = (id) => document.getElementById(id);

/** Controls and the like, and the words for all but the usual: what can wait until there is a picture. */
let later = null;
let isLoading = false;
/** The server went away before they came: a few words must do. */
let isWordless = false;
async function loadLater() {
  if (isLoading) return;
  isLoading = true;
  try {
    const { Later } = await import(`${page.viewer}later.js`);
    later = await Later.make({ viewer: page.viewer, stage, room: name, about, key, say });
  } catch {
    isLoading = false;
    isWordless = true;
    setTimeout(loadLater, 2000);
    render();
    return;
  }
  render();
}

/** @type {import('./policy.js').View} */
const BEFORE = { state: 'connecting', code: '' };
/** @type {import('./words.js').Words} */
const CONNECTING = { icon: CAMERA, title: 'Connecting', why: '', then: '', action: '', busy: true };
const BUSY = ['connecting', 'waiting', 'reconnecting'];
const isUsual = ({ state, code }) => state === 'live' || (state === 'connecting' && !code);
const fewWords = ({ state, detail }) => ({
  ...CONNECTING, title: state[0].toUpperCase() + state.slice(1), why: detail ?? '', busy: BUSY.includes(state),
});
const texts = {
  words: (view) => (view.state === 'live' ? null : later?.words(view) ?? (isUsual(view) ? CONNECTING : fewWords(view))),
  pause: (camera) => later?.pause(camera) ?? '',
};

const can = (action) => action !== 'remembered' || Boolean(later?.rememberedLink);
function act(action) {
  if (action === 'retry') page.live?.retry();
  else if (action === 'reload') location.reload();
  else location.assign(later.rememberedLink); // only the hash differs: hashchange does the rest
}

const veil = new Veil({ act, can });
const stage = new Stage(byId('stage'), { about, texts, act, can, onFocus: () => render() });
byId('stage').append(veil.node);
let announced = '';

function render() {
  const { live } = page;
  if (live) stage.update(live.cameras);
  const { focused } = stage;
  const whole = stopped ?? live?.view ?? BEFORE;
  const now = focused && whole.state !== 'refused' ? focused.camera.view : whole;
  const view = later || isWordless || isUsual(now) ? now : BEFORE; // nothing is said before there are words for it
  if (root.dataset.state !== view.state) root.dataset.state = view.state;
  if (root.dataset.code !== view.code) root.dataset.code = view.code;

  const overAll = stage.tiles.length === 0 || (whole.state === 'refused' && live?.signaling.refusal);
  const text = texts.words(view);
  veil.show(overAll ? text : null);
  veil.node.classList.toggle('over', stage.tiles.length > 0);

  document.title = `${text ? `${text.title} · ` : ''}${name} – peercam`;
  const spoken = text ? `${text.title}. ${text.why}` : 'Live';
  if (spoken !== announced) say(announced = spoken);
  // at once when there is something to say; else while the first picture is being painted
  if (!isUsual(now) && !isWordless) loadLater();
  else if (now.state === 'live' && !isLoading) setTimeout(loadLater, 50);
  later?.update(view);
}

function say(text) {
  byId('announce').textContent = text;
}

page.onChange = render;
setTimeout(loadLater, 2000);
addEventListener('hashchange', () => location.reload());
addEventListener('pagehide', () => {
  rememberRate(page.live?.cameras.find((c) => c.report)?.report.estimate);
  page.live?.close();
});
addEventListener('pageshow', (e) => e.persisted && location.reload());
render();
