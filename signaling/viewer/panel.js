/** The statistics panel: once a second, while it is open. */
import { limit } from './choice.js';
import { el } from './dom.js';
import { AgeMeter, figures } from './stats.js';

const SVG = 'http://www.w3.org/2000/svg';
const HISTORY = 60;

const number = (n, digits = 0) => n.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
const ms = (n) => (n === undefined ? undefined : `${number(n)} ms`);
const rate = (kbps) => {
  if (kbps === undefined) return undefined;
  return kbps < 1000 ? `${number(kbps)} kbit/s` : `${number(kbps / 1000, 2)} Mbit/s`;
};
const bits = (bps) => (Number.isFinite(bps) ? rate(bps / 1000) : undefined);
const packets = ({ sent, resent }) => Number.isFinite(sent) && `${number(sent)} packets${resent > 0 ? `, ${number(resent)} again` : ''}`;
const plain = (value) => (['string', 'number'].includes(typeof value) ? String(value) : undefined);

/** Each row: what it is called, and how it reads; rows without a value are left out. */
const GROUPS = [
  ['Picture', [
    ['Age', (f) => ms(f.age)],
    ['Size', (f) => f.width && `${f.width} × ${f.height}`],
    ['Rung', (_, c) => Array.isArray(c.rungs) && Number.isInteger(c.rung) && `${c.rung + 1} of ${c.rungs.length}`],
    ['Layers', (_, c) => c.layers > 1 && `${c.layer + 1} of ${c.layers}`],
    ['Limited by', (_, c) => limit(c.why)],
    ['Frame rate', (f, c) => (c.paused ? 'paused' : f.fps !== undefined && `${number(f.fps)} fps`)],
    ['Codec', (f) => [f.codec, f.audioCodec].filter(Boolean).join(', ')],
    ['Frozen', (f) => f.freezes !== undefined && (f.freezes ? `${number(f.freezes)} ×, ${number(f.frozen ?? 0, 1)} s` : 'never')],
  ]],
  ['Network', [
    ['Bit rate', (f) => rate(f.kbps)],
    ['Sound', (f) => rate(f.audioKbps)],
    ['Loss', (f) => f.loss !== undefined && `${number(f.loss, 1)} %`],
    ['Round trip', (f) => ms(f.rtt)],
    ['Jitter buffer', (f) => ms(f.buffer)],
    ['Connection', (f) => f.way],
  ]],
  ['Camera', [
    ['Estimate', (_, c) => bits(c.estimate)],
    ['Target', (_, c) => bits(c.target)],
    ['Sent', (_, c) => packets(c)],
    ['Viewers', (_, c) => plain(c.viewers)],
  ]],
];

export class Panel {
  #timer = 0;
  #counters;
  #pc = null;
  #age = new AgeMeter((rtpTimestamp) => this.#tile()?.camera.taken(rtpTimestamp));
  #body;
  #charts = { kbps: new Chart('Bit rate of the last minute'), age: new Chart('Age of the picture in the last minute') };
  #tile = () => null;

  /**
   * @param {HTMLElement} node
   * @param {() => import('./tile.js').Tile|null} tile whose figures to show
   */
  constructor(node, tile) {
    this.node = node;
    this.#tile = tile;
    this.#body = node.querySelector('.figures');
  }

  get isOpen() {
    return !this.node.hidden;
  }

  toggle(open = !this.isOpen) {
    this.node.hidden = !open;
    clearInterval(this.#timer);
    this.#age.watch(null);
    this.#counters = undefined;
    if (!open) return;
    this.#timer = setInterval(() => this.#refresh(), 1000);
    this.#refresh();
  }

  async #refresh() {
    const tile = this.#tile();
    const pc = tile?.camera.pc ?? null;
    if (pc !== this.#pc) {
      this.#pc = pc;
      this.#counters = undefined;
    }
    this.#age.watch(tile?.video ?? null);
    if (!pc) {
      this.#render({}, {});
      return;
    }
    tile.camera.askTime();
    const now = figures(await pc.getStats(), this.#counters);
    this.#counters = now.counters;
    const shown = { ...now.figures, age: this.#age.take() };
    if (shown.freezes !== undefined) {
      const { count, duration } = tile.camera.pauses;
      shown.freezes = Math.max(0, shown.freezes - count);
      shown.frozen = Math.max(0, (shown.frozen ?? 0) - duration);
    }
    this.#render(shown, tile.camera.report ?? {});
  }

  #render(shown, camera) {
    this.#charts.kbps.add(shown.kbps);
    this.#charts.age.add(shown.age);
    const groups = GROUPS.map(([title, rows]) => {
      const filled = rows.map(([label, value]) => [label, value(shown, camera)]).filter(([, value]) => value);
      if (!filled.length) return null;
      const chart = { Picture: this.#charts.age, Network: this.#charts.kbps }[title];
      return el('section', {}, el('h3', { textContent: title }),
        el('dl', {}, ...filled.flatMap(([label, value]) => [el('dt', { textContent: label }), el('dd', { textContent: value })])),
        chart?.isFilled ? chart.node : null);
    }).filter(Boolean);
    this.#body.replaceChildren(...(groups.length ? groups : [el('p', { textContent: 'There is no picture to measure.' })]));
  }
}

/** A line of the last minute. */
class Chart {
  #values = [];
  #line;
  #area;

  constructor(label) {
    this.node = document.createElementNS(SVG, 'svg');
    this.node.setAttribute('class', 'chart');
    this.node.setAttribute('viewBox', `0 0 ${HISTORY - 1} 20`);
    this.node.setAttribute('preserveAspectRatio', 'none');
    this.node.setAttribute('role', 'img');
    this.node.setAttribute('aria-label', label);
    [this.#area, this.#line] = ['area', 'line'].map((name) => {
      const path = document.createElementNS(SVG, 'path');
      path.setAttribute('class', name);
      this.node.append(path);
      return path;
    });
  }

  get isFilled() {
    return this.#values.filter((v) => v !== undefined).length > 2;
  }

  add(value) {
    this.#values.push(value);
    if (this.#values.length > HISTORY) this.#values.shift();
    const top = Math.max(...this.#values.map((v) => v ?? 0)) * 1.15 || 1;
    const from = HISTORY - this.#values.length;
    const points = this.#values.map((v, i) => `${from + i} ${(19.5 - (18.5 * (v ?? 0)) / top).toFixed(2)}`);
    this.#line.setAttribute('d', `M${points.join('L')}`);
    this.#area.setAttribute('d', `M${from} 20L${points.join('L')}L${HISTORY - 1} 20Z`);
  }
}
