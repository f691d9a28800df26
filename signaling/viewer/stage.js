/** All pictures of a room: one that fills the window, or a grid of which one can be enlarged. */
import { Tile } from './tile.js';

const GAP = 12;

/**
 * How wide tiles of 16:9 can be at most, so that all of them fit.
 * @param {number} n tiles @param {number} width of the place @param {number} height
 * @returns {number} px
 */
export function tileWidth(n, width, height) {
  let most = 0;
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns);
    const w = Math.min((width - GAP * (columns - 1)) / columns, (((height - GAP * (rows - 1)) / rows) * 16) / 9);
    most = Math.max(most, w);
  }
  return Math.floor(most);
}

export class Stage {
  /** @type {Map<import('./camera.js').Camera, Tile>} */
  #tiles = new Map();
  #enlarged = null;
  #options;

  /**
   * @param {HTMLElement} node
   * @param {{about: object, texts: object, act: (action: string) => void, can: (action: string) => boolean, onFocus: () => void}} options
   *   onFocus: the picture that controls are about is another one
   */
  constructor(node, options) {
    this.node = node;
    this.#options = options;
    node.addEventListener('keydown', (e) => this.#key(e));
    new ResizeObserver(() => this.#layout()).observe(node);
  }

  /** @returns {Tile|null} the one that fills the window */
  get focused() {
    return this.#enlarged ?? (this.#tiles.size === 1 ? this.tiles[0] : null);
  }

  get tiles() {
    return [...this.#tiles.values()];
  }

  get isGrid() {
    return !this.focused && this.#tiles.size > 1;
  }

  /** @param {import('./camera.js').Camera[]} cameras */
  update(cameras) {
    const before = this.focused;
    for (const [camera, tile] of this.#tiles) {
      if (cameras.includes(camera)) continue;
      tile.remove();
      this.#tiles.delete(camera);
      if (this.#enlarged === tile) this.#enlarged = null;
    }
    for (const camera of cameras) {
      if (!this.#tiles.has(camera)) this.#add(camera);
    }
    for (const tile of this.#tiles.values()) tile.update();
    this.#arrange();
    if (before !== this.focused) this.#options.onFocus();
  }

  #add(camera) {
    const { about, texts, act, can } = this.#options;
    const tile = new Tile({ camera, about, texts, act, can, open: () => this.enlarge(tile) });
    this.#tiles.set(camera, tile);
    this.node.append(tile.node);
  }

  #arrange() {
    const mode = this.isGrid ? 'grid' : 'one';
    if (this.node.dataset.mode !== mode) {
      this.node.dataset.mode = mode;
      this.#layout();
    }
    for (const tile of this.tiles) {
      tile.node.hidden = mode === 'one' && tile !== this.focused;
      tile.opener.hidden = mode === 'one';
    }
    if (this.#count !== this.#tiles.size) this.#layout();
  }

  #count = 0;
  #layout() {
    this.#count = this.#tiles.size;
    if (!this.isGrid) return; // measuring costs the first picture ten milliseconds
    const style = getComputedStyle(this.node);
    const width = this.node.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const height = this.node.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
    // on a narrow screen rather scroll than squint
    this.node.style.setProperty('--tile', `${Math.max(tileWidth(this.#count, width, height), Math.min(width, 280))}px`);
  }

  /** @param {Tile|null} tile null goes back to the grid */
  enlarge(tile) {
    const before = this.#enlarged;
    if (tile === before) return;
    this.#enlarged = tile;
    this.#arrange();
    this.#options.onFocus();
    if (!tile && this.isGrid) before?.opener.focus();
  }

  /** @returns {boolean} whether there was a grid to go back to */
  back() {
    if (!this.#enlarged || this.#tiles.size < 2) return false;
    this.enlarge(null);
    return true;
  }

  /** Goes to the next or previous camera while one is enlarged. */
  step(by) {
    if (!this.#enlarged || this.#tiles.size < 2) return false;
    const { tiles } = this;
    this.enlarge(tiles[(tiles.indexOf(this.#enlarged) + by + tiles.length) % tiles.length]);
    return true;
  }

  /** Arrow keys among tiles: to the nearest one in that direction. */
  #key(e) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key] ?? [];
    if (dx === undefined || !this.isGrid) return;
    const from = this.tiles.find((t) => t.opener === document.activeElement);
    if (!from) return;
    e.preventDefault();
    const centre = ({ node }) => {
      const r = node.getBoundingClientRect();
      return [r.x + r.width / 2, r.y + r.height / 2];
    };
    const [x, y] = centre(from);
    let nearest = null;
    let least = Infinity;
    for (const tile of this.tiles) {
      const [tx, ty] = centre(tile);
      const along = (tx - x) * dx + (ty - y) * dy;
      const aside = Math.abs((tx - x) * dy) + Math.abs((ty - y) * dx);
      if (tile === from || along <= 1 || along + 2 * aside >= least) continue;
      nearest = tile;
      least = along + 2 * aside;
    }
    nearest?.opener.focus();
  }
}
