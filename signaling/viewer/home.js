/** The page of all rooms that this browser was let into. */
import { remembered } from './choice.js';
import { el } from './dom.js';
import { icon } from './icons.js';
import { isKey } from './key.js';
import { Key } from './proof.js';
import { Room } from './room.js';
import { forget, linkTo, remember, rooms } from './rooms.js';
import { Sights } from './sight.js';
import { Tile, Veil } from './tile.js';
import { pause, words } from './words.js';

/** A page that nobody looks at lets the cameras go after so long, milliseconds. */
const HIDDEN = 20_000;
/** The path of a room, see PROTOCOL.md, "join". */
const ROOM = /^\/[\w~-][\w.~-]{0,63}$/;
/** Pictures of one room in its card. */
const MOST = 4;

const supported = 'RTCPeerConnection' in window && 'WebSocket' in window;
const byId = (id) => document.getElementById(id);

/** @param {number} then @param {number} now @returns {string} in words */
export function ago(then, now) {
  const seconds = Math.max(0, now - then) / 1000;
  for (const [unit, size] of [['year', 31557600], ['month', 2629800], ['day', 86400], ['hour', 3600], ['minute', 60]]) {
    if (seconds >= size) return new Intl.RelativeTimeFormat('en').format(-Math.floor(seconds / size), unit);
  }
  return 'just now';
}

/** One remembered room: its pictures while the card is to be seen. */
class Card {
  #room = null;
  #tiles = new Map();
  #remembered = 0;
  #sights = null;

  constructor(entry) {
    this.entry = entry;
    this.veil = new Veil({ act: () => {} });
    this.preview = el('div', { class: 'preview', 'aria-hidden': 'true' }, this.veil.node);
    this.status = el('span', { class: 'small' });
    this.node = el('li', { class: 'card' }, this.preview,
      el('div', { class: 'about' },
        el('span', { class: 'dot' }),
        el('div', { class: 'text' }, el('a', { href: linkTo(entry), textContent: entry.room }), this.status),
        el('button', { class: 'tool remove', type: 'button', title: 'Forget this room', 'aria-label': `Forget ${entry.room}`, onclick: () => ask(entry) }, icon('close'))));
    this.#render();
  }

  open() {
    if (this.#room || !supported) return;
    const { room, key } = this.entry;
    this.#sights = new Sights(remembered(room));
    this.#room = new Room({ name: room, key: isKey(key) ? new Key(key) : null, onChange: () => this.#render() });
    this.#render();
  }

  close() {
    this.#room?.close();
    this.#room = null;
    this.#sights?.watch([]);
    for (const tile of this.#tiles.values()) tile.remove();
    this.#tiles.clear();
    this.#render();
  }

  #render() {
    const { room: name, key } = this.entry;
    const cameras = this.#room?.cameras.slice(0, MOST) ?? [];
    for (const [camera, tile] of this.#tiles) {
      if (cameras.includes(camera)) continue;
      tile.remove();
      this.#tiles.delete(camera);
    }
    for (const camera of cameras) {
      if (this.#tiles.has(camera)) continue;
      const tile = new Tile({ camera, texts: { pause, words }, about: { room: name, hasKey: Boolean(key) }, act: () => {}, can: () => false });
      this.#tiles.set(camera, tile);
      this.preview.append(tile.node);
    }
    for (const tile of this.#tiles.values()) tile.update();
    this.#sights?.watch([...this.#tiles.values()]);
    this.preview.dataset.count = this.#tiles.size;

    const view = this.#room?.view ?? { state: supported ? 'connecting' : 'refused', code: supported ? '' : 'unsupported' };
    this.node.dataset.state = view.state;
    const text = words(view, { room: name, hasKey: Boolean(key) });
    if (view.state === 'waiting') Object.assign(text, { title: 'Not there now', busy: false });
    this.veil.show(this.#tiles.size ? null : text);
    this.status.textContent = this.#line(view, text);
    if (view.state === 'live') this.#keepInMind();
  }

  #line(view, text) {
    const names = this.#room?.cameras.map((c) => c.name).filter(Boolean).join(', ') || this.entry.name;
    const state = view.state === 'live' ? 'Live' : view.state === 'waiting' ? `Last seen ${ago(this.entry.seen, Date.now())}` : text.title;
    return [state, names].filter(Boolean).join(' · ');
  }

  #keepInMind() {
    if (Date.now() - this.#remembered < 60_000) return;
    this.#remembered = this.entry.seen = Date.now();
    this.entry.name = this.#room.cameras.find((c) => c.view.state === 'live')?.name ?? '';
    remember(this.entry);
  }
}

const cards = new Map();
const seen = new Set();
const observer = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) {
    const card = [...cards.values()].find((c) => c.node === target);
    if (!card) continue;
    if (isIntersecting) seen.add(card);
    else seen.delete(card);
    if (isIntersecting) card.open();
    else card.close();
  }
}, { rootMargin: '120px' });

function list() {
  const entries = rooms();
  for (const [room, card] of cards) {
    if (entries.some((e) => e.room === room && e.key === card.entry.key)) continue;
    observer.unobserve(card.node);
    seen.delete(card);
    card.close();
    card.node.remove();
    cards.delete(room);
  }
  for (const entry of entries) {
    if (cards.has(entry.room)) continue;
    const card = new Card(entry);
    cards.set(entry.room, card);
    byId('cards').append(card.node);
    observer.observe(card.node);
  }
  byId('empty').hidden = entries.length > 0;
  byId('cards').hidden = entries.length === 0;
}

function ask(entry) {
  const dialog = byId('forget');
  byId('forget-title').textContent = `Forget “${entry.room}”?`;
  dialog.returnValue = '';
  dialog.onclose = () => {
    if (dialog.returnValue !== 'forget') return;
    forget(entry.room);
    list();
  };
  dialog.showModal();
}

byId('paste').onsubmit = (e) => {
  e.preventDefault();
  const input = byId('link');
  const text = input.value.trim();
  const url = tryUrl(text) ?? tryUrl(`/${text.replace(/^\/+/, '')}`);
  const usable = url && text && /^https?:$/.test(url.protocol) && ROOM.test(url.pathname);
  input.classList.toggle('wrong', !usable);
  byId('problem').textContent = usable ? '' : 'That is no link to a room. One looks like http://192.168.1.7:8080/kitchen#k=…';
  if (usable) location.assign(url.href);
};

function tryUrl(text) {
  try {
    return new URL(text, text.startsWith('/') ? location.origin : undefined);
  } catch {
    return null;
  }
}

let hidden = 0;
document.addEventListener('visibilitychange', () => {
  clearTimeout(hidden);
  if (document.visibilityState === 'hidden') hidden = setTimeout(() => seen.forEach((c) => c.close()), HIDDEN);
  else {
    list();
    seen.forEach((c) => c.open());
  }
});
addEventListener('pagehide', () => seen.forEach((c) => c.close()));
addEventListener('pageshow', (e) => e.persisted && location.reload());
addEventListener('storage', list);
list();
