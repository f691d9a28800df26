/** The bar, the keys, and when they are to be seen. */
import { Awake } from './awake.js';
import { el } from './dom.js';
import { icon } from './icons.js';
import { PictureMenu } from './menu.js';
import { snapshot } from './snapshot.js';

/** The bar goes away after so long without a movement, milliseconds. */
const IDLE = 2600;
/** ... and the offer of sound goes with it after so long. */
const OFFER = 12_000;
/** Sound is offered for so long after there was any. */
const QUIET = 10_000;
const VOLUME = 'peercam.volume';

export class Controls {
  #stage;
  #panel;
  #setup;
  #help;
  #room;
  #say;
  #sights;
  #choose;
  #menu;
  #rungs = [];
  #buttons = {};
  #soundOn = false;
  #volume = 1;
  #idle = 0;
  #awake = new Awake();
  #offered = 0;

  /**
   * @param {object} options
   * @param {import('./stage.js').Stage} options.stage
   * @param {import('./panel.js').Panel} options.panel
   * @param {import('./setuppanel.js').SetupPanel} options.setup
   * @param {HTMLDialogElement} options.help
   * @param {string} options.room
   * @param {(text: string) => void} options.say for those who listen
   * @param {import('./sight.js').Sights} options.sights who know what is chosen
   * @param {(choice: import('./choice.js').Choice) => void} options.choose a picture, for this room
   */
  constructor({ stage, panel, setup, help, room, say, sights, choose }) {
    this.#stage = stage;
    this.#panel = panel;
    this.#setup = setup;
    this.#help = help;
    this.#room = room;
    this.#say = say;
    this.#sights = sights;
    this.#choose = choose;
    this.#build();
    this.#listen();
    this.#restoreVolume();
    this.stir();
  }

  #build() {
    const button = (name, key, label, picture, act) => {
      this.#buttons[name] = el('button', {
        class: `tool ${name}`, type: 'button', title: `${label} (${key})`, 'aria-label': label, 'aria-keyshortcuts': key, onclick: act,
      }, icon(picture));
      return this.#buttons[name];
    };
    this.volume = el('input', { class: 'volume', type: 'range', min: 0, max: 1, step: 0.05, 'aria-label': 'Volume', oninput: () => this.#setVolume(+this.volume.value) });
    this.bar = document.getElementById('bar');
    this.bar.append(
      el('div', { class: 'group' }, button('sound', 'm', 'Sound', 'muted', () => this.#sound()), this.volume),
      button('grid', 'Escape', 'All cameras', 'grid', () => this.#stage.back()),
      button('picture', 'q', 'Picture', 'quality', () => this.#picture()),
      button('setup', 'c', 'Set up the camera', 'camera', () => this.#setUp()),
      button('stats', 'i', 'Statistics', 'chart', () => this.#stats()),
      button('photo', 's', 'Save this picture', 'photo', () => this.#photo()),
      button('pip', 'p', 'Picture in picture', 'pip', () => this.#pip()),
      button('full', 'f', 'Full screen', 'expand', () => this.#full()),
      button('help', '?', 'Keys and help', 'help', () => this.#help.showModal()),
    );
    this.#buttons.setup.hidden = true; // until it is known what can be set
    this.offer = el('button', { class: 'pill offer', type: 'button', hidden: true, onclick: () => this.#sound(true) }, icon('muted'), 'Tap for sound');
    this.#menu = new PictureMenu(this.#buttons.picture, (choice, label) => {
      this.#choose(choice);
      this.update();
      this.#say(`Picture: ${label}`);
    });
    this.bar.before(this.offer, this.#menu.node);
    this.#panel.node.querySelector('.close').onclick = () => this.#stats();
    this.#setup.node.querySelector('.close').onclick = () => this.#setUp();
  }

  #listen() {
    for (const type of ['pointermove', 'pointerdown', 'keydown', 'focusin']) {
      addEventListener(type, (e) => (e.pointerType === 'touch' ? undefined : this.stir()), { passive: true });
    }
    addEventListener('keydown', (e) => this.#key(e));
    document.addEventListener('fullscreenchange', () => this.update());
    this.#stage.node.addEventListener('dblclick', (e) => e.target.closest('button') || this.#full());
    this.#stage.node.addEventListener('pointerup', (e) => {
      if (e.pointerType !== 'touch' || e.target.closest('button')) return;
      if (this.#isIdle) this.stir();
      else this.#rest();
    });
    this.bar.addEventListener('pointerup', () => this.stir());
    document.documentElement.addEventListener('pointerleave', (e) => e.pointerType === 'mouse' && this.#rest());
  }

  #key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || this.#help.open || e.defaultPrevented) return;
    // a field has these keys for itself
    const isField = e.target.matches?.('input[type=range], select') && e.key !== 'Escape';
    if (isField && (e.key.startsWith('Arrow') || e.target.matches('select'))) return;
    if (!this.#stage.isGrid && this.#setup.key(e, this.#stage.tiles.length < 2)) {
      e.preventDefault();
      return;
    }
    const act = {
      f: () => this.#full(), q: () => this.#picture(), m: () => this.#sound(), s: () => this.#photo(), i: () => this.#stats(), p: () => this.#pip(),
      c: () => this.#setUp(), '?': () => this.#help.showModal(),
      Escape: () => this.#closed() || this.#stage.back(),
      ArrowLeft: () => this.#stage.step(-1),
      ArrowRight: () => this.#stage.step(1),
    }[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!act || e.repeat) return;
    act();
    if (e.key.length === 1) e.preventDefault();
  }

  get #video() {
    return this.#stage.focused?.video ?? null;
  }

  get #hasPicture() {
    return Boolean(this.#video?.videoWidth);
  }

  get #hasSound() {
    return this.#stage.focused?.camera.hasAudio ?? false;
  }

  #sound(on = !this.#soundOn) {
    if (!this.#hasSound) return;
    this.#soundOn = on;
    if (on && this.#volume === 0) this.#setVolume(0.5);
    this.update();
    this.#say(on ? 'Sound on' : 'Sound off');
  }

  #setVolume(volume) {
    this.#volume = volume;
    this.#soundOn = volume > 0;
    try {
      localStorage.setItem(VOLUME, volume);
    } catch {
      // storage is switched off
    }
    this.update();
  }

  #restoreVolume() {
    try {
      this.#volume = Math.min(1, Math.max(0, parseFloat(localStorage.getItem(VOLUME) ?? '1'))) || 1;
    } catch {
      // storage is switched off
    }
  }

  async #photo() {
    if (!this.#hasPicture) return;
    try {
      const name = await snapshot(this.#video, this.#room, new Date());
      const flash = el('div', { class: 'flash', onanimationend: () => flash.remove() });
      document.body.append(flash);
      this.#say(`Saved as ${name}`);
    } catch (err) {
      this.#say(`The picture was not saved: ${err.message}`);
    }
  }

  async #pip() {
    if (!this.#hasPicture || !document.pictureInPictureEnabled) return;
    if (document.pictureInPictureElement) await document.exitPictureInPicture();
    else await this.#video.requestPictureInPicture().catch((err) => this.#say(`No picture in picture: ${err.message}`));
  }

  async #full() {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else if (document.fullscreenEnabled) await document.documentElement.requestFullscreen({ navigationUI: 'hide' });
      else this.#video?.webkitEnterFullscreen?.(); // iPhones: the video alone
    } catch (err) {
      this.#say(`No full screen: ${err.message}`);
    }
  }

  #picture() {
    if (!this.#buttons.picture.hidden) this.#menu.toggle();
    this.stir();
  }

  /** There is room for one panel. */
  #stats() {
    this.#panel.toggle();
    if (this.#panel.isOpen) this.#setup.toggle(false);
    this.update();
  }

  #setUp() {
    const { activeElement } = document;
    const hadFocus = this.#setup.node.contains(activeElement);
    this.#setup.toggle();
    if (this.#setup.isOpen) this.#panel.toggle(false);
    this.update();
    if (hadFocus) this.#buttons.setup.focus();
  }

  /** @returns {boolean} whether there was a panel to close */
  #closed() {
    if (this.#setup.isOpen) this.#setUp();
    else if (this.#panel.isOpen) this.#stats();
    else return false;
    return true;
  }

  get #isIdle() {
    return document.documentElement.dataset.idle === 'true';
  }

  /** Somebody is there: shows the controls for a while. */
  stir() {
    document.documentElement.dataset.idle = false;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#rest(), IDLE);
  }

  #rest() {
    const { activeElement } = document;
    const busy = this.bar.matches(':hover') || this.bar.contains(activeElement) && activeElement.matches(':focus-visible') || this.#help.open || this.#menu.isOpen || this.#setup.isOpen;
    if (busy) this.stir();
    else document.documentElement.dataset.idle = true;
  }

  /** Shows what can be done now. */
  update() {
    const { focused, isGrid, tiles } = this.#stage;
    const live = focused?.camera.view.state === 'live';
    for (const tile of tiles) {
      const muted = !(this.#soundOn && tile === focused);
      if (tile.video.muted !== muted) tile.video.muted = muted;
      if (tile.video.volume !== this.#volume) tile.video.volume = this.#volume;
    }
    const { sound, grid, setup, stats, photo, pip, full } = this.#buttons;
    this.#setup.update();
    sound.hidden = this.volume.hidden = !this.#hasSound;
    grid.hidden = isGrid || tiles.length < 2;
    stats.hidden = photo.hidden = pip.hidden = isGrid || !this.#hasPicture;
    setup.hidden = isGrid || !this.#setup.isUseful;
    if (!document.pictureInPictureEnabled) pip.hidden = true;
    full.hidden = !document.fullscreenEnabled && !this.#video?.webkitEnterFullscreen;
    press(sound, this.#soundOn, this.#soundOn ? 'sound' : 'muted');
    press(stats, this.#panel.isOpen);
    press(setup, this.#setup.isOpen);
    press(full, Boolean(document.fullscreenElement), document.fullscreenElement ? 'shrink' : 'expand');
    // a camera that reconnects does not tell for a moment, and still has what it had
    const rungs = (focused ? [focused] : tiles).flatMap(({ camera }) => camera.report?.rungs ?? []);
    if (rungs.length || focused?.camera.report) this.#rungs = rungs;
    this.#menu.update(this.#rungs, this.#sights.choice, focused?.camera.report ?? null);
    this.volume.value = this.#soundOn ? this.#volume : 0;
    this.volume.style.setProperty('--value', `${this.volume.value * 100}%`);
    this.offer.hidden = !(live && this.#hasSound && focused.camera.quiet < QUIET && !this.#soundOn && !focused.blocked);
    if (!this.offer.hidden && !this.#offered) this.#offered = setTimeout(() => this.offer.classList.add('modest'), OFFER);
    this.#awake.want(live);
  }
}

function press(button, on, picture) {
  button.setAttribute('aria-pressed', on);
  if (!picture || button.dataset.icon === picture) return;
  button.dataset.icon = picture;
  button.replaceChildren(icon(picture));
}
