/** The panel that sets up the camera that is looked at, and the keys that move it. */
import { el } from './dom.js';
import { altered, groups, label, movable, Requests, stride } from './setup.js';

/** @type {Record<string, [string, number]>} what a key moves, and which way */
const MOVES = {
  ArrowLeft: ['pan', -1], ArrowRight: ['pan', 1], ArrowUp: ['tilt', 1], ArrowDown: ['tilt', -1],
  '+': ['zoom', 1], '=': ['zoom', 1], '-': ['zoom', -1],
};

/** Refusals that say nothing of what one may do. */
const LATER = new Set(['busy', 'rate-limited']);

export class SetupPanel {
  #tile;
  #say;
  #camera = null;
  #asked = null;
  /** @type {import('./setup.js').Control[]} */
  #controls = [];
  #requests = new Requests((request) => this.#camera?.ask(request) ?? false);
  #rows = new Map();
  #shape = '';
  #moved = '';
  #body;
  #problem = el('p', { class: 'problem', role: 'alert' });
  #reset = el('button', { class: 'button', type: 'button', textContent: 'As the camera comes', onclick: () => this.#asItComes() });

  /**
   * @param {HTMLElement} node
   * @param {() => import('./tile.js').Tile|null} tile whose camera it is
   * @param {(text: string) => void} say for those who listen
   */
  constructor(node, tile, say) {
    this.node = node;
    this.#tile = tile;
    this.#say = say;
    this.#body = node.querySelector('.controls');
    node.append(this.#reset, this.#problem);
  }

  get isOpen() {
    return !this.node.hidden;
  }

  /** @returns {boolean} whether there is anything to set */
  get isUseful() {
    return this.#controls.length > 0;
  }

  toggle(open = !this.isOpen) {
    if (open && !this.isUseful) return;
    this.node.hidden = !open;
    this.#problem.textContent = '';
    if (!open) return;
    this.#camera?.ask({ type: 'controls' }); // another camera may have been plugged in
    this.#render();
    this.node.querySelector('.close').focus({ preventScroll: true });
  }

  /** Looks which camera it is about now; asks each of its sessions once. */
  update() {
    const camera = this.#tile()?.camera ?? null;
    if (camera !== this.#camera) {
      if (this.#camera) this.#camera.onSetup = undefined;
      this.#camera = camera;
      this.#asked = null;
      if (camera) camera.onSetup = (message) => this.#hear(message);
      this.#learn([]);
    }
    const { pc = null, view } = camera ?? {};
    if (pc === this.#asked || view.state !== 'live') return;
    if (camera.ask({ type: 'controls' })) this.#asked = pc;
  }

  #hear(message) {
    if (message.type === 'controls' && Array.isArray(message.controls)) this.#learn(message.controls);
    else if (message.type === 'error') {
      if (message.about === 'controls') {
        if (LATER.has(message.code)) this.#asked = null; // it is asked again
        else this.#learn([]); // it is not for us
        return;
      }
      this.#problem.textContent = String(message.message ?? '');
      this.#moved = '';
    }
    this.#requests.answered();
    this.#render();
    this.#tell();
  }

  #learn(controls) {
    this.#controls = controls;
    if (!controls.length) {
      this.#requests.clear();
      this.toggle(false);
    }
  }

  /** Says where a control is that a key has moved. */
  #tell() {
    const control = this.#controls.find((c) => c.name === this.#moved);
    if (!control || this.#requests.concerns(control.name)) return;
    this.#moved = '';
    this.#say(`${label(control)} ${control.value}`);
  }

  /** @param {KeyboardEvent} e @param {boolean} alone arrows choose among several cameras while this is closed @returns {boolean} whether it moves the camera */
  key(e, alone) {
    const [what, way] = MOVES[e.key] ?? [];
    if (!what || (what !== 'zoom' && !alone && !this.isOpen)) return false;
    const control = movable(this.#controls, what);
    if (!control) return false;
    this.#moved = control.name;
    this.#requests.step(control.name, way * stride(control));
    return true;
  }

  #set(control, value) {
    this.#problem.textContent = '';
    this.#requests.set(control.name, value);
  }

  #asItComes() {
    for (const control of altered(this.#controls)) this.#set(control, control.default);
  }

  #render() {
    if (!this.isOpen) return;
    const shape = JSON.stringify(this.#controls.map(({ name, kind, min, max, step, menu }) => [name, kind, min, max, step, menu]));
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#build();
    }
    for (const control of this.#controls) {
      const row = this.#rows.get(control.name);
      if (row && !this.#requests.concerns(control.name)) row(control);
    }
    this.#reset.hidden = !altered(this.#controls).length;
  }

  #build() {
    this.#rows.clear();
    this.#body.replaceChildren(...groups(this.#controls).map(({ title, controls }) => {
      const rows = controls.map((c) => this.#row(c));
      if (title === 'More') return el('details', {}, el('summary', { textContent: title }), ...rows);
      return el('section', {}, title && el('h3', { textContent: title }), ...rows);
    }));
  }

  /** @param {import('./setup.js').Control} control @returns {HTMLElement} a line; how to show a value in it goes to `#rows` */
  #row(control) {
    const { name } = control;
    const text = label(control);
    const able = (node, c) => { node.disabled = Boolean(c.inactive || c.readOnly); };
    if (name === 'privacy') return this.#cover(control);
    if (control.kind === 'button') {
      const button = el('button', { class: 'button', type: 'button', textContent: text, onclick: () => this.#set(control, 1) });
      this.#rows.set(name, (c) => able(button, c));
      return button;
    }
    if (control.kind === 'boolean') {
      const input = el('input', { type: 'checkbox', class: 'switch', role: 'switch', onchange: () => this.#set(control, input.checked ? 1 : 0) });
      this.#rows.set(name, (c) => {
        input.checked = c.value !== 0;
        able(input, c);
      });
      return el('label', { class: 'line' }, text, input);
    }
    if (control.kind === 'menu') {
      const select = el('select', { onchange: () => this.#set(control, Number(select.value)) }, ...(control.menu ?? []).map((i) => el('option', { value: i.value, textContent: i.name })));
      this.#rows.set(name, (c) => {
        select.value = c.value;
        able(select, c);
      });
      return el('label', { class: 'line' }, text, select);
    }
    const value = el('output', {});
    const input = el('input', { type: 'range', class: 'slider', min: control.min, max: control.max, step: Math.max(1, control.step) });
    const show = () => {
      value.textContent = input.value;
      input.style.setProperty('--value', `${((input.value - control.min) / (control.max - control.min)) * 100}%`);
    };
    input.oninput = () => {
      show();
      this.#set(control, Number(input.value));
    };
    this.#rows.set(name, (c) => {
      input.value = c.value;
      able(input, c);
      show();
    });
    return el('label', { class: 'line range' }, el('span', {}, text), value, input);
  }

  /** What one cannot undo from here is asked for twice. */
  #cover(control) {
    const ask = el('button', { class: 'button', type: 'button', textContent: 'Cover the camera …' });
    const sure = el('button', { class: 'button danger', type: 'button', textContent: 'Cover it' });
    const note = el('p', { class: 'small' });
    const row = el('div', { class: 'cover' }, note, ask, sure);
    let covered = false;
    let asking = false;
    const show = () => {
      sure.hidden = !asking || covered;
      ask.hidden = covered;
      ask.textContent = asking ? 'Leave it open' : 'Cover the camera …';
      note.textContent = covered ? 'Privacy is on: camera and microphone are closed. Only at the camera itself can that be ended.'
        : 'Camera and microphone close for everybody. Only at the camera itself can that be undone.';
      note.hidden = !asking && !covered;
    };
    ask.onclick = () => {
      asking = !asking;
      show();
    };
    sure.onclick = () => {
      asking = false;
      this.#set(control, 1);
      show();
    };
    this.#rows.set(control.name, (c) => {
      covered = c.value !== 0;
      if (covered) asking = false;
      show();
    });
    return row;
  }
}
