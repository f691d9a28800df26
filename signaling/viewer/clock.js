/** How a camera's clock differs from this browser's, and so when a frame was taken. */
export class CameraClock {
  #offset;
  #roundTrip = Infinity;

  /** @returns {object} a request to the camera */
  static ask() {
    return { type: 'clock', sentAt: performance.now() };
  }

  /** @param {{sentAt: number, camera: number}} answer to a request, just come */
  note({ sentAt, camera }) {
    const now = performance.now();
    const roundTrip = now - sentAt;
    if (!(roundTrip >= 0) || !Number.isFinite(camera)) return;
    // The quickest answer is the truest; it loses its rank slowly, since clocks drift.
    this.#roundTrip *= 1.02;
    if (roundTrip > this.#roundTrip) return;
    this.#roundTrip = roundTrip;
    this.#offset = camera - (sentAt + now) / 2;
  }

  /**
   * @param {number|undefined} rtpTimestamp of a frame
   * @param {{rtpTimestamp?: number, captured?: number}|null} report of the camera, which dates one frame
   * @returns {number|undefined} performance.now() when it was taken
   */
  taken(rtpTimestamp, report) {
    if (this.#offset === undefined || rtpTimestamp === undefined || !report?.captured) return undefined;
    return report.captured + ((rtpTimestamp - report.rtpTimestamp) | 0) / 90 - this.#offset;
  }
}
