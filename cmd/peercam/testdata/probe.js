// Runs in a page before the page's own scripts: notes what they do with the
// browser, and waits for what a person would wait for.
const probe = {
  /** @type {RTCPeerConnection[]} */
  peers: [],
  /** @type {RTCDataChannel[]} */
  controls: [],
  /** messages of the signaling sockets */
  sent: [],
  received: [],
  /** how often an answer was used */
  answersUsed: 0,
  /** performance.now() when the first picture was there to be shown */
  pictureAt: 0,
  /** the states that the page went through */
  states: [],
  /** the first things that a developer would see in red */
  errors: [],
  fault(text) {
    if (probe.errors.length < 8) probe.errors.push(text);
  },

  /** Resolves when ok() is true: asked at each frame, and whenever the page changes. */
  until(ok, patience) {
    return new Promise((resolve, reject) => {
      const watch = new MutationObserver(look);
      const tick = setInterval(look, 100);
      const end = setTimeout(() => done(() => reject(new Error(`never: ${ok}`))), patience);
      function done(then) {
        watch.disconnect();
        clearInterval(tick);
        clearTimeout(end);
        then();
      }
      function look() {
        if (ok()) done(() => resolve(true));
      }
      watch.observe(document, { subtree: true, childList: true, attributes: true });
      look();
    });
  },

  /** Resolves with the next frame of the nth video that bears a barcode: when it was taken, and the time now. */
  async picture(n, patience) {
    const end = performance.now() + patience;
    for (;;) {
      const video = document.querySelectorAll('video')[n];
      if (video) await Promise.race([new Promise((shown) => video.requestVideoFrameCallback(shown)), probe.pause(500)]);
      const time = video && barcode(video);
      if (time) return { time, now: Date.now() };
      if (performance.now() > end) throw new Error(`no picture with a barcode in video ${n}`);
      if (!video) await probe.pause(50);
    }
  },

  /** How old the pictures are when they come onto the screen, for so long. @returns {Promise<number[]>} milliseconds */
  ages(duration) {
    const video = document.querySelector('video');
    const ages = [];
    const end = performance.now() + duration;
    return new Promise((resolve) => {
      setTimeout(() => resolve(ages), duration + 1000);
      video.requestVideoFrameCallback(function shown() {
        const now = performance.timeOrigin + performance.now();
        const time = barcode(video);
        if (time) ages.push(now - time);
        if (performance.now() < end) video.requestVideoFrameCallback(shown);
        else resolve(ages);
      });
    });
  },

  pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),

  /** Where the middle of an element is, once it moves no more. @returns {Promise<number[]>} */
  async resting(selector) {
    for (let before = ''; ; await probe.pause(100)) {
      const { x, y, width, height } = document.querySelector(selector).getBoundingClientRect();
      const now = JSON.stringify([x + width / 2, y + height / 2]);
      if (now === before) return JSON.parse(now);
      before = now;
    }
  },

  /** The mean colour of the middle of a video. @returns {number[]} red, green, blue */
  colour(n = 0) {
    const video = document.querySelectorAll('video')[n];
    if (!video?.videoWidth) return [0, 0, 0];
    return pixels(video, video.videoWidth / 4, video.videoHeight / 4, video.videoWidth / 2, video.videoHeight / 2, 1, 1);
  },

  /** What RTCPeerConnection.getStats says of what arrives, of the newest connection that has it. */
  async inbound(kind) {
    for (const peer of [...probe.peers].reverse()) {
      if (peer.connectionState === 'closed') continue;
      for (const report of (await peer.getStats()).values()) {
        if (report.type === 'inbound-rtp' && report.kind === kind) return report;
      }
    }
    return {};
  },

  tell() {
    const { state, code } = document.documentElement.dataset;
    const videos = [...document.querySelectorAll('video')].map((v) => `${v.videoWidth}x${v.videoHeight}${v.paused ? ' paused' : ''}`);
    return JSON.stringify({
      state, code, states: probe.states, text: document.body?.innerText, videos, peers: probe.peers.map((p) => p.connectionState),
      received: probe.received.map((m) => m.type), sent: probe.sent.map((m) => m.type), errors: probe.errors,
    });
  },
};

/** One pixel per cell: red, green, blue of a region, averaged down. */
function pixels(video, x, y, width, height, columns, rows) {
  const canvas = Object.assign(document.createElement('canvas'), { width: columns, height: rows });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(video, x, y, width, height, 0, 0, columns, rows);
  return [...context.getImageData(0, 0, columns, rows).data].filter((_, i) => i % 4 < 3);
}

/**
 * Reads the test source's barcode: a row of cells a fortieth of the width each,
 * white, black, 24 bits of Unix milliseconds, their parity.
 * @returns {number|undefined} Unix milliseconds
 */
function barcode(video) {
  const { videoWidth: width, videoHeight: height } = video;
  const cell = width / 40;
  if (!width || height < cell) return undefined;
  const canvas = Object.assign(document.createElement('canvas'), { width, height: Math.ceil(cell) });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(video, 0, 0);
  const { data } = context.getImageData(0, 0, width, canvas.height);
  const row = Math.floor(cell / 2) * width;
  const bits = Array.from({ length: 27 }, (_, i) => (data[4 * (row + Math.floor((i + 0.5) * cell)) + 1] > 128 ? 1 : 0));
  const value = bits.slice(2, 26);
  if (!bits[0] || bits[1] || value.reduce((a, b) => a ^ b, 0) !== bits[26]) return undefined;
  const low = value.reduce((n, bit) => n * 2 + bit, 0);
  // The upper bits are those that make it a time nearest to now.
  const now = Date.now();
  const span = 2 ** 24;
  const offset = ((low - now) % span + span) % span;
  return now + (offset > span / 2 ? offset - span : offset);
}

window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...args) {
    super(...args);
    probe.peers.push(this);
  }

  createDataChannel(...args) {
    const channel = super.createDataChannel(...args);
    probe.controls.push(channel);
    return channel;
  }

  setRemoteDescription(...args) {
    probe.answersUsed++;
    return super.setRemoteDescription(...args);
  }
};

window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    this.addEventListener('message', ({ data }) => probe.received.push(JSON.parse(data)));
  }

  send(data) {
    probe.sent.push(JSON.parse(data));
    super.send(data);
  }
};

new MutationObserver(() => {
  const { state } = document.documentElement.dataset;
  if (state !== probe.states.at(-1)) probe.states.push(state);
}).observe(document, { subtree: true, attributeFilter: ['data-state'] });

addEventListener('loadeddata', () => { probe.pictureAt ||= performance.now(); }, true);
addEventListener('error', (e) => probe.fault(String(e.message || e.target?.src || e.target?.href)), true);
addEventListener('unhandledrejection', (e) => probe.fault(`unhandled: ${e.reason?.stack ?? e.reason}`));
addEventListener('securitypolicyviolation', (e) => probe.fault(`policy: ${e.violatedDirective} ${e.blockedURI}`));
window.probe = probe;
