/** What the page has beside the picture: controls, keys, statistics, the camera's setup, which picture to ask for, the memory of rooms. */
import { keep, remembered } from './choice.js';
import { Controls } from './controls.js';
import { Panel } from './panel.js';
import { SetupPanel } from './setuppanel.js';
import { linkTo, remember, rooms } from './rooms.js';
import { Sights } from './sight.js';

export class Later {
  #stage;
  #room;
  #key;
  #controls;
  #sights;
  #remembered = 0;

  /** @param {{stage: import('./stage.js').Stage, room: string, key: string, say: (text: string) => void}} options */
  constructor({ stage, room, key, say }) {
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

  /** @returns {string} the link by which this browser was let into the room before, '' when there is none with a key */
  get rememberedLink() {
    const entry = rooms().find((r) => r.room === this.#room && r.key);
    return entry ? linkTo(entry) : '';
  }

  /** @param {import('./policy.js').View} view */
  update(view) {
    this.#sights.watch(this.#stage.tiles);
    this.#controls.update();
    // at most once a minute: this browser was let in
    if (view.state !== 'live' || Date.now() - this.#remembered < 60_000) return;
    this.#remembered = Date.now();
    remember({ room: this.#room, key: this.#key, name: this.#stage.focused?.camera.name ?? '', seen: this.#remembered });
  }
}
