/** Keeps the screen on while a picture is watched, where the browser can (https and localhost). */
export class Awake {
  #lock = null;
  #wanted = false;

  constructor() {
    // the browser takes the lock away from a hidden page
    document.addEventListener('visibilitychange', () => this.#apply());
  }

  /** @param {boolean} wanted */
  want(wanted) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#apply();
  }

  async #apply() {
    if (!navigator.wakeLock) return;
    if (!this.#wanted) {
      this.#lock?.release();
      this.#lock = null;
    } else if (document.visibilityState === 'visible' && (!this.#lock || this.#lock.released)) {
      this.#lock = await navigator.wakeLock.request('screen').catch(() => null); // a low battery may refuse
    }
  }
}
