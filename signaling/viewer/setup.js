/** What can be set on a camera from afar, in which order and under which name: pure. */

/**
 * @typedef {object} Control as in the message `controls` of PROTOCOL.md
 * @property {string} name
 * @property {'integer'|'boolean'|'menu'|'button'} kind
 * @property {number} min @property {number} max @property {number} step
 * @property {number} default @property {number} value
 * @property {{value: number, name: string}[]} [menu]
 * @property {boolean} [inactive] @property {boolean} [readOnly]
 */

/** Those of the program itself: they have no value to go back to. */
const OWN = ['privacy', 'mute', 'rotate', 'mirror'];

/** Groups of what most cameras have, each in the order of use; the rest is `More`. */
const GROUPS = [
  ['', OWN],
  ['View', ['pan', 'tilt', 'zoom', 'focus_automatic_continuous', 'focus_auto', 'focus']],
  ['Picture', [
    'brightness', 'contrast', 'saturation', 'hue', 'sharpness', 'gamma', 'backlight_compensation', 'power_line_frequency',
    'auto_exposure', 'exposure_auto', 'exposure_time', 'exposure', 'exposure_dynamic_framerate', 'exposure_auto_priority', 'gain',
    'white_balance_automatic', 'white_balance_temperature_auto', 'white_balance_temperature', 'flash_led_mode', 'torch',
  ]],
];

const LABELS = { privacy: 'Cover the camera', mute: 'Mute the microphone', rotate: 'Turn', mirror: 'Mirror', power_line_frequency: 'Mains flicker' };

/** @param {string} name @returns {string} without what drivers append: zoom_absolute is zoom */
const short = (name) => name.replace(/(_time)?_absolute$/, (_, time) => time ?? '');

/** @param {Control} control @returns {string} as people call it */
export function label({ name }) {
  const plain = LABELS[name] ?? short(name).replaceAll('_', ' ');
  return plain[0].toUpperCase() + plain.slice(1);
}

/** @param {Control[]} controls @param {string} what pan, tilt or zoom @returns {Control|undefined} one that can be moved now */
export const movable = (controls, what) => controls.find((c) => short(c.name) === what && c.kind === 'integer' && !c.inactive && !c.readOnly && c.max > c.min);

/** @param {Control} control @returns {number} how many of its steps a key's press is: a fortieth of the way */
export const stride = ({ min, max, step }) => Math.max(1, Math.round((max - min) / Math.max(step, 1) / 40));

/**
 * @param {Control[]} controls
 * @returns {{title: string, controls: Control[]}[]} those that can be shown, in groups that are not empty
 */
export function groups(controls) {
  const left = controls.filter((c) => c.kind === 'button' || c.max > c.min || (c.menu?.length ?? 0) > 1);
  const take = (names) => names.flatMap((name) => {
    const i = left.findIndex((c) => short(c.name) === name);
    return i < 0 ? [] : left.splice(i, 1);
  });
  const known = GROUPS.map(([title, names]) => ({ title, controls: take(names) }));
  return [...known, { title: 'More', controls: left }].filter((g) => g.controls.length);
}

/** @param {Control[]} controls @returns {Control[]} of the device, that are not as it comes and can be */
export const altered = (controls) => controls.filter((c) => !OWN.includes(c.name) && c.kind !== 'button' && !c.readOnly && !c.inactive && c.value !== c.default);

/** A request is taken for lost when it was not answered for so long, milliseconds. */
const LOST = 2000;

/**
 * Requests on their way to a camera: one at a time, so that a slow device is asked no
 * faster than it is, and of each control only what was wanted last.
 */
export class Requests {
  #say;
  #waiting = new Map();
  #current = '';
  #lost = 0;

  /** @param {(request: object) => boolean} say */
  constructor(say) {
    this.#say = say;
  }

  /** @param {string} name @returns {boolean} whether the camera has yet to answer about it */
  concerns(name) {
    return this.#current === name || this.#waiting.has(name);
  }

  set(name, value) {
    this.#waiting.set(name, { type: 'set', name, value });
    this.#next();
  }

  step(name, by) {
    this.#waiting.set(name, { type: 'step', name, by: by + (this.#waiting.get(name)?.by ?? 0) });
    this.#next();
  }

  /** The camera has answered. */
  answered() {
    clearTimeout(this.#lost);
    this.#current = '';
    this.#next();
  }

  clear() {
    this.#waiting.clear();
    this.answered();
  }

  #next() {
    if (this.#current) return;
    const [next] = this.#waiting;
    if (!next) return;
    this.#waiting.delete(next[0]);
    if (!this.#say(next[1])) return; // there is no connection: what was wanted is over
    [this.#current] = next;
    this.#lost = setTimeout(() => this.answered(), LOST);
  }
}
