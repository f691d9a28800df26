/** How much of a picture is to be seen, so that the camera need not send more; and whether its sound is heard. */

/** Changes of size are gathered for so long, milliseconds; also the least time between two requests. */
const PACE = 200;

/**
 * The part of an element that a picture fills.
 * @param {{width: number, height: number}} box of the element
 * @param {{width: number, height: number}} picture 0 × 0 when not known
 * @param {string} fit CSS object-fit: `cover` fills the box and more, else it stays within
 */
export function fitted(box, picture, fit) {
  if (!(picture.width && picture.height)) return box;
  const scales = [box.width / picture.width, box.height / picture.height];
  const scale = fit === 'cover' ? Math.max(...scales) : Math.min(...scales);
  return { width: picture.width * scale, height: picture.height * scale };
}

/** Watches one video and tells its camera, over all its sessions. */
export class Sight {
  #tile;
  #choice;
  #box = { width: 0, height: 0 };
  #onScreen = false;
  #isKnown = false;
  #pip = null;
  #fit = '';
  #told = '';
  #isDark = true;
  #toldAt = -PACE;
  #timer = 0;
  #dueAt = 0;
  #stopped = new AbortController();
  #observers;

  /**
   * @param {import('./tile.js').Tile} tile
   * @param {import('./choice.js').Choice} choice
   */
  constructor(tile, choice) {
    this.#tile = tile;
    this.#choice = choice;
    const { video } = tile;
    // Sizes come with the layout that is made anyway: nothing is measured for them.
    const resized = new ResizeObserver(([entry]) => {
      this.#box = entry.contentRect;
      this.#fit ||= getComputedStyle(video).objectFit;
      this.#later();
    });
    const moved = new IntersectionObserver((entries) => {
      this.#onScreen = entries.at(-1).isIntersecting;
      this.#isKnown = true; // sizes come before
      this.#later();
    });
    this.#observers = [resized, moved];
    for (const observer of this.#observers) observer.observe(video);

    const { signal } = this.#stopped;
    document.addEventListener('visibilitychange', () => this.#later(0), { signal });
    addEventListener('resize', () => this.#later(), { signal }); // the zoom may have changed
    video.addEventListener('resize', () => this.#later(), { signal });
    video.addEventListener('volumechange', () => this.#later(0), { signal });
    video.addEventListener('webkitpresentationmodechanged', () => this.#later(0), { signal });
    video.addEventListener('enterpictureinpicture', ({ pictureInPictureWindow }) => {
      this.#pip = pictureInPictureWindow;
      this.#pip.onresize = () => this.#later();
      this.#later(0);
    }, { signal });
    video.addEventListener('leavepictureinpicture', () => {
      this.#pip = null;
      this.#later(0);
    }, { signal });
    this.#later(0);
  }

  /** @param {import('./choice.js').Choice} choice */
  choose(choice) {
    this.#choice = choice;
    this.#later(0);
  }

  /** @returns {{width: number, height: number}} device pixels, 0 × 0 when nobody sees it */
  get #size() {
    const { video } = this.#tile;
    // an iPhone plays over the whole screen, whatever the page's layout says
    const isAlone = video.webkitDisplayingFullscreen || video.webkitPresentationMode === 'picture-in-picture';
    const isSeen = isAlone || this.#pip || (document.visibilityState === 'visible' && this.#onScreen);
    const box = isAlone ? screen : this.#pip ?? this.#box;
    const { width, height } = fitted(box, { width: video.videoWidth, height: video.videoHeight }, isAlone || this.#pip ? '' : this.#fit);
    const pixels = (n) => (isSeen ? Math.round(n * devicePixelRatio) : 0);
    return { width: pixels(width), height: pixels(height) };
  }

  /** @returns {boolean} whether somebody listens: then pictures are to wait for the sound */
  get #isHeard() {
    const { camera, video } = this.#tile;
    return camera.hasAudio && !video.muted && video.volume > 0;
  }

  /** Who begins to look again does not wait. */
  #later(delay = this.#isDark ? 0 : PACE) {
    const now = performance.now();
    const due = Math.max(now + delay, this.#toldAt + PACE);
    if (this.#timer && this.#dueAt <= due) return;
    clearTimeout(this.#timer);
    this.#dueAt = due;
    this.#timer = setTimeout(() => this.#tell(), due - now);
  }

  #tell() {
    this.#timer = 0;
    if (!this.#isKnown && document.visibilityState === 'visible') return; // a page in the background is not laid out
    const view = { type: 'view', ...this.#size, ...this.#choice, sound: this.#isHeard };
    this.#isDark = !view.width;
    const text = JSON.stringify(view);
    if (text === this.#told) return;
    this.#told = text;
    this.#toldAt = performance.now();
    this.#tile.camera.want(view);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#stopped.abort();
    for (const observer of this.#observers) observer.disconnect();
  }
}

/** The sights of all tiles of a page or a room. */
export class Sights {
  /** @type {Map<import('./tile.js').Tile, Sight>} */
  #sights = new Map();
  #choice;

  /** @param {import('./choice.js').Choice} choice */
  constructor(choice) {
    this.#choice = choice;
  }

  get choice() {
    return this.#choice;
  }

  choose(choice) {
    this.#choice = choice;
    for (const sight of this.#sights.values()) sight.choose(choice);
  }

  /** @param {import('./tile.js').Tile[]} tiles that there are now */
  watch(tiles) {
    for (const [tile, sight] of this.#sights) {
      if (tiles.includes(tile)) continue;
      sight.stop();
      this.#sights.delete(tile);
    }
    for (const tile of tiles) {
      if (!this.#sights.has(tile)) this.#sights.set(tile, new Sight(tile, this.#choice));
    }
  }
}
