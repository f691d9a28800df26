/** What the page has beside the picture: controls, keys, statistics, the camera's setup, which picture to ask for, the memory of rooms. */
import { keep, remembered } from './choice.js';
import { surround } from './chrome.js';
import { Controls } from './controls.js';
import { Panel } from './panel.js';
import { SetupPanel } from './setuppanel.js';
import { linkTo, remember, rooms } from './rooms.js';
import { Sights } from './sight.js';
import { pause, words } from './words.js';

export class Later {
  #stage;
  #room;
  #key;
  #about;
  #controls;
  #sights;
  #remembered = 0;

  /**
   * @param {object} options
   * @param {string} options.viewer where the files of this version are
   * @param {import('./stage.js').Stage} options.stage
   * @param {string} options.room
   * @param {{room: string, hasKey: boolean}} options.about
   * @param {string} options.key
   * @param {(text: string) => void} options.say
   */
  static async make({ viewer, ...options }) {
    await dressed(viewer);
    return new Later(options);
  }

  constructor({ stage, room, about, key, say }) {
    surround(document.getElementById('announce'));
    this.#about = about;
    this.#stage = stage;
    this.#room = room;
    this.#key = key;
    const panel = new Panel(document.getElementById('stats'), () => stage.focused);
    const setup = new SetupPanel(document.getElementById('setup'), () => stage.focused, say);
    this.#sights = new Sights(remembered(room));
    const choose = (choice) => {
      keep(room, choice);
      this.#sights.choose(choice);
    };
    this.#controls = new Controls({ stage, panel, setup, help: document.getElementById('help'), room, say, sights: this.#sights, choose });
  }

  /** @param {import('./policy.js').View} view */
  words(view) {
    return words(view, this.#about);
  }

  /** @param {import('./camera.js').Camera} camera */
  pause(camera) {
    return pause(camera);
  }

  /** @returns {string} the link by which this browser was let into the room before, '' when there is none with a key */
  get rememberedLink() {
    const entry = rooms().find((r) => r.room === this.#room && r.key);
    return entry ? linkTo(entry) : '';
  }

  /** @param {import('./policy.js').View} view */
  update(view) {
    const name = this.#stage.focused?.camera.name ?? '';
    document.getElementById('name').textContent = name || this.#room;
    document.getElementById('room').textContent = name ? this.#room : '';
    this.#sights.watch(this.#stage.tiles);
    this.#controls.update();
    // at most once a minute: this browser was let in
    if (view.state !== 'live' || Date.now() - this.#remembered < 60_000) return;
    this.#remembered = Date.now();
    remember({ room: this.#room, key: this.#key, name: this.#stage.focused?.camera.name ?? '', seen: this.#remembered });
  }
}

/** Loads the styles, and what else of a page's head the first picture need not wait for. */
function dressed(viewer) {
  const { head } = document;
  const first = head.querySelector('style');
  if (!first) return undefined; // an earlier try got so far
  const link = (rel, href, more) => Object.assign(document.createElement('link'), { rel, href: viewer + href, ...more });
  return new Promise((resolve, reject) => {
    const styles = link('stylesheet', 'style.css');
    styles.onload = () => {
      first.remove();
      head.querySelector('[rel=icon]').remove();
      head.append(link('icon', 'icon.svg', { type: 'image/svg+xml' }), link('apple-touch-icon', 'icon-180.png'), link('manifest', 'manifest.webmanifest'));
      resolve();
    };
    styles.onerror = () => {
      styles.remove();
      reject(new Error('the styles did not come'));
    };
    head.append(styles);
  });
}
