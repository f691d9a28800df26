/** A room as a viewer lives in it: the way to the server, and the cameras there. */
import { Camera } from './camera.js';
import { best, GONE, match, SILENT_NEW_CAMERA, SLEPT } from './policy.js';
import { Signaling } from './signaling.js';

const TICK = 500;

export class Room {
  #key;
  #firstPeer;
  #onChange;
  #ticking;
  #tickedAt = Date.now();
  #stopped = new AbortController();

  /**
   * @param {object} options
   * @param {string} options.name
   * @param {import('./proof.js').Key|null} options.key null for an open room
   * @param {import('./early.js').Early} [options.early]
   * @param {() => void} options.onChange something to show has changed
   */
  constructor({ name, key, early = {}, onChange }) {
    this.name = name;
    /** @type {Camera[]} in the order in which they came */
    this.cameras = [];
    this.#key = key;
    const isLost = early.session && early.socket.readyState > WebSocket.OPEN;
    if (isLost) early.peer.close(); // it belongs to a session of which nothing more is heard
    const { peer, cameras } = isLost ? {} : early;
    this.#firstPeer = peer;
    this.#onChange = onChange;
    this.signaling = new Signaling({
      room: name, token: key?.token ?? '', first: early, expect: cameras && { cameras, iceServers: peer?.iceServers },
      onMessage: (message) => this.#receive(message),
      onChange: () => this.#changed(),
    });
    this.#ticking = setInterval(() => this.#tick(), TICK);
    const { signal } = this.#stopped;
    addEventListener('online', () => this.wake(), { signal });
    addEventListener('offline', () => this.#onChange(), { signal });
    navigator.connection?.addEventListener('change', () => this.wake(), { signal }); // not in every browser
    addEventListener('pageshow', () => this.wake(), { signal });
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.wake(), { signal });
  }

  /** @returns {import('./policy.js').View} of the room as a whole */
  get view() {
    const { refusal, failures, joined } = this.signaling;
    const views = this.cameras.map((c) => c.view);
    const refused = refusal && { state: 'refused', code: refusal.code, detail: refusal.message, retry: refusal.retry };
    if (views.length) {
      const view = best(views);
      return refused && view.state !== 'live' ? refused : view;
    }
    if (refused) return refused;
    if (joined) return { state: 'waiting', code: '' };
    return { state: 'connecting', code: navigator.onLine === false ? 'offline' : failures ? 'no-server' : '' };
  }

  #receive(message) {
    switch (message.type) {
      case 'welcome':
        this.#announce(message.cameras ?? [], []);
        break;
      case 'camera-joined':
        if (message.camera?.id) this.#announce([message.camera], this.cameras.filter((c) => c.id && c.id !== message.camera.id));
        break;
      case 'camera-left':
        this.cameras.find((c) => c.id === message.camera?.id)?.leave();
        break;
      case 'restart':
        this.#moved(message);
      // falls through
      default:
        if (message.session) this.cameras.some((c) => c.receive(message));
    }
    this.#changed();
  }

  /** @param {import('./session.js').CameraInfo[]} infos @param {Camera[]} others that are there as well */
  #announce(infos, others) {
    const known = this.cameras.map((c) => ({ id: c.id, name: c.name, silent: c.silence > SILENT_NEW_CAMERA }));
    const all = [...infos, ...others.map((c) => ({ id: c.id, name: c.name }))];
    const which = match(known, all);
    const before = [...this.cameras];
    infos.forEach((info, i) => {
      if (which[i] >= 0) before[which[i]].announce(info);
      else this.#add(info);
    });
    before.forEach((camera, i) => {
      if (!which.includes(i)) camera.leave();
    });
  }

  /** A session goes on under another id: it was not another camera of that name that joined. */
  #moved({ session, from }) {
    const camera = this.cameras.find((c) => c.holds(session));
    const twin = this.cameras.find((c) => c.id === from);
    if (!camera || !twin || camera === twin) return;
    this.cameras.splice(this.cameras.indexOf(twin), 1);
    twin.close();
    camera.moved(twin.info, session);
  }

  #add(info) {
    const firstPeer = this.#firstPeer;
    this.#firstPeer = undefined;
    this.cameras.push(new Camera({
      info, room: this.name, key: this.#key, signaling: this.signaling, firstPeer, onChange: () => this.#onChange(),
    }));
  }

  #changed() {
    for (const camera of this.cameras) camera.step();
    this.#onChange();
  }

  #tick() {
    const slept = Date.now() - this.#tickedAt > SLEPT;
    this.#tickedAt = Date.now();
    const now = performance.now();
    this.signaling.tick(now);
    if (slept) this.wake();
    this.#forget(now);
    for (const camera of this.cameras) camera.tick();
  }

  /** Cameras that left: at once if they never showed anything, after a while if others are there. */
  #forget(now) {
    for (const camera of [...this.cameras]) {
      if (!camera.leftAt) continue;
      const others = this.cameras.length > 1;
      const never = camera.view.state === 'waiting';
      if (!(never || (others && now - camera.leftAt > GONE && camera.view.state !== 'live'))) continue;
      camera.close();
      this.cameras.splice(this.cameras.indexOf(camera), 1);
    }
  }

  /** The network, the machine or the person came back. */
  wake() {
    this.signaling.wake();
    this.#changed();
  }

  /** Asked for by hand. */
  retry() {
    if (this.signaling.joined) this.cameras.forEach((c) => c.retry());
    else this.signaling.retry();
    this.#changed();
  }

  /** Says bye to all. */
  close() {
    clearInterval(this.#ticking);
    this.#stopped.abort();
    for (const camera of this.cameras) camera.close();
    this.#firstPeer?.close();
    this.signaling.close();
  }
}
