// Runs in a page before the page's own scripts, after probe.js: keeps what a
// person at a bad link sees, from the first picture on.
{
  const now = () => performance.timeOrigin + performance.now();
  const seen = new WeakSet();
  const record = window.record = {
    /** Each frame on the screen: when (Unix milliseconds), how old it was (milliseconds, null: no barcode could be read), its width. */
    frames: [],
    /** What the browser has counted until then, of all connections. */
    samples: [],
    /** performance.now() at the first picture */
    pictureAt: 0,

    /** Whether the picture flowed in the last milliseconds: the browser counts next to nothing of them as frozen. */
    flows(duration) {
      const last = record.samples.at(-1);
      if (!last) return false;
      const first = record.samples.findLast(({ at }) => at <= last.at - duration);
      const shown = record.frames.filter(({ at }) => at > last.at - duration);
      // A freeze is counted when it is over; one that is not shows no frames.
      return first !== undefined && last.frozen - first.frozen < duration / 10_000
        && shown.length > duration / 200 && now() - shown.at(-1).at < 1000;
    },
  };

  async function sample() {
    const sum = { at: now(), bytes: 0, frozen: 0, parity: 0, connections: probe.peers.length };
    for (const peer of probe.peers) {
      for (const report of (await peer.getStats()).values()) {
        if (report.type !== 'inbound-rtp' || report.kind !== 'video') continue;
        sum.bytes += report.bytesReceived;
        sum.frozen += report.totalFreezesDuration ?? 0;
        sum.parity += (report.fecPacketsReceived ?? 0) - (report.fecPacketsDiscarded ?? 0);
      }
    }
    record.samples.push(sum);
  }

  // Chromium shows a track that has no picture yet as one of 2x2 pixels.
  const placeholder = ({ videoWidth }) => videoWidth <= 2;

  function picture() {
    if (record.pictureAt) return;
    record.pictureAt = performance.now();
    void sample();
    setInterval(sample, 500);
  }

  addEventListener('loadeddata', ({ target }) => {
    if (!placeholder(target)) picture();
    if (seen.has(target)) return;
    seen.add(target);
    target.requestVideoFrameCallback(function shown() {
      target.requestVideoFrameCallback(shown);
      if (placeholder(target)) return;
      picture();
      const at = now();
      const time = barcode(target);
      record.frames.push({ at, age: time === undefined ? null : at - time, width: target.videoWidth });
    });
  }, true);
}
