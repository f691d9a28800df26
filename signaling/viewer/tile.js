/** The picture of one camera: the video, its last frame while there is no newer one, and what there is to say. */
import { draw, el, PLAY } from './dom.js';

const ACTIONS = { retry: 'Try again', reload: 'Load again', remembered: 'Use the key this browser remembers' };

export class Tile {
  #stream = null;
  #last;
  #texts;

  /**
   * @param {object} options
   * @param {import('./camera.js').Camera} options.camera
   * @param {{room: string, hasKey: boolean}} options.about
   * @param {{words: Function, pause: Function}} options.texts those of words.js, or what does until they are there
   * @param {(action: string) => void} options.act a button in the veil was pressed
   * @param {(action: string) => boolean} [options.can] whether it makes sense to offer it
   * @param {() => void} [options.open] the tile was chosen among others
   */
  constructor({ camera, about, texts, act, can, open }) {
    this.#texts = texts;
    this.camera = camera;
    this.about = about;
    /** the browser wants a tap before it plays */
    this.blocked = false;
    this.video = document.getElementById('first') ?? el('video', { autoplay: true, muted: true, playsInline: true });
    this.video.removeAttribute('id');
    this.video.setAttribute('aria-label', this.label);
    this.video.setAttribute('muted', '');
    this.#last = el('canvas', { class: 'last', hidden: true, 'aria-hidden': 'true' });
    this.veil = new Veil({ act, can });
    this.opener = el('button', { class: 'opener', type: 'button', 'aria-label': `Enlarge ${this.label}`, onclick: open, hidden: !open });
    this.caption = el('figcaption', {}, el('span', { class: 'dot' }), el('span', { textContent: this.label }));
    this.badge = el('p', { class: 'badge', role: 'status' });
    this.play = el('button', { class: 'pill play', type: 'button', hidden: true, onclick: () => this.#play() }, draw(PLAY), 'Tap to play');
    this.node = el('figure', { class: 'tile' }, this.video, this.#last, this.opener, this.veil.node, this.caption, this.badge, this.play);
    this.update();
  }

  get label() {
    return this.camera.name || this.about.room;
  }

  update() {
    const { stream, view } = this.camera;
    if (stream && stream !== this.#stream) this.#attach(stream);
    for (const { dataset } of [this.node, this.video]) {
      dataset.state = view.state;
      dataset.code = view.code;
    }
    const note = view.state === 'live' ? this.#texts.pause(this.camera) : '';
    this.node.classList.toggle('paused', note !== '');
    if (this.badge.textContent !== note) this.badge.textContent = note;
    this.node.classList.toggle('bare', !this.video.videoWidth);
    this.veil.show(this.#texts.words(view, this.about));
  }

  #attach(stream) {
    const isOn = this.video.srcObject === stream; // since before there was a tile
    if (!isOn) this.#keep();
    this.#stream = stream;
    const shown = () => {
      if (this.#stream !== stream) return;
      this.#last.hidden = true;
      this.camera.shown();
    };
    this.video.onloadeddata = shown;
    this.video.requestVideoFrameCallback?.(shown);
    if (!isOn) this.video.srcObject = stream;
    else if (this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) queueMicrotask(shown); // when this tile is on the stage
    this.#play();
  }

  /** Chrome shows nothing between two streams: the last frame bridges that. */
  #keep() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    Object.assign(this.#last, { width, height, hidden: false });
    this.#last.getContext('2d').drawImage(this.video, 0, 0);
  }

  async #play() {
    try {
      await this.video.play();
      this.blocked = false;
    } catch (err) {
      this.blocked = err.name === 'NotAllowedError'; // else a newer stream interrupted it
    }
    this.play.hidden = !this.blocked;
  }

  remove() {
    this.video.srcObject = null;
    this.node.remove();
  }
}

/** What lies over a picture, or in its place, while there is something to say. */
export class Veil {
  #shown = '';
  #act;

  /** @param {{act: (action: string) => void, can?: (action: string) => boolean}} options */
  constructor({ act, can = () => true }) {
    this.#act = act;
    this.can = can;
    this.node = el('div', { class: 'veil', hidden: true });
  }

  /** @param {import('./words.js').Words|null} words null takes it away */
  show(words) {
    const offered = words?.action && this.can(words.action) ? words.action : '';
    const key = JSON.stringify({ ...words, offered, none: !words });
    if (key === this.#shown) return;
    this.#shown = key;
    this.node.hidden = !words;
    if (!words) return;
    const { title, why, then, busy } = words;
    const focused = this.node.contains(document.activeElement);
    this.node.replaceChildren(
      el('div', { class: busy ? 'lens busy' : 'lens' }, draw(words.icon)),
      el('h2', { textContent: title }),
      ...[why, then].filter(Boolean).map((text, i) => el('p', { textContent: text, class: i ? 'then' : 'why' })),
    );
    if (!offered) return;
    const button = el('button', { class: 'button', type: 'button', textContent: ACTIONS[offered], onclick: () => this.#act(offered) });
    this.node.append(button);
    if (focused) button.focus();
  }
}
