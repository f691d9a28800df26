/** Figures for people, made of the browser's counters. */

/**
 * @typedef {object} Figures Undefined fields are not known (yet).
 * @property {number} [width] of the picture, pixels
 * @property {number} [height]
 * @property {number} [fps]
 * @property {number} [kbps] of the picture
 * @property {number} [audioKbps]
 * @property {number} [loss] per cent of the packets, since the last figures
 * @property {number} [rtt] milliseconds
 * @property {number} [buffer] time that a frame waits in the jitter buffer, milliseconds
 * @property {number} [freezes] how often the picture stood, in all
 * @property {number} [frozen] how long, seconds in all
 * @property {string} [codec]
 * @property {string} [audioCodec]
 * @property {string} [way] how packets come
 */

/**
 * @param {RTCStatsReport|Map<string, object>} report
 * @param {object} [before] the `counters` of the last call
 * @returns {{figures: Figures, counters: object}}
 */
export function figures(report, before) {
  const all = [...report.values()];
  const of = (type, kind) => all.find((s) => s.type === type && (!kind || s.kind === kind));
  const video = of('inbound-rtp', 'video');
  const audio = of('inbound-rtp', 'audio');
  const transport = of('transport');
  const pair = report.get(transport?.selectedCandidatePairId) ?? all.find((s) => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
  const counters = {
    at: video?.timestamp ?? 0,
    bytes: video?.bytesReceived ?? 0,
    audioBytes: audio?.bytesReceived ?? 0,
    packets: video?.packetsReceived ?? 0,
    lost: video?.packetsLost ?? 0,
    waited: video?.jitterBufferDelay ?? 0,
    emitted: video?.jitterBufferEmittedCount ?? 0,
  };
  const out = {
    width: video?.frameWidth,
    height: video?.frameHeight,
    fps: video?.framesPerSecond,
    rtt: pair?.currentRoundTripTime === undefined ? undefined : pair.currentRoundTripTime * 1000,
    freezes: video?.freezeCount,
    frozen: video?.totalFreezesDuration,
    codec: codec(report.get(video?.codecId)),
    audioCodec: codec(report.get(audio?.codecId)),
    way: pair && way(report.get(pair.localCandidateId), report.get(pair.remoteCandidateId)),
  };
  if (before && counters.at > before.at && counters.bytes >= before.bytes) {
    const ms = counters.at - before.at;
    const packets = counters.packets - before.packets;
    const lost = Math.max(0, counters.lost - before.lost);
    const emitted = counters.emitted - before.emitted;
    out.kbps = ((counters.bytes - before.bytes) * 8) / ms;
    if (audio) out.audioKbps = ((counters.audioBytes - before.audioBytes) * 8) / ms;
    if (packets + lost > 0) out.loss = (100 * lost) / (packets + lost);
    if (emitted > 0) out.buffer = (1000 * (counters.waited - before.waited)) / emitted;
  }
  return { figures: out, counters };
}

const codec = (stat) => stat?.mimeType?.split('/')[1];

function way(local, remote) {
  const ends = [local, remote];
  const relay = ends.some((c) => c?.candidateType === 'relay');
  const protocol = (local?.relayProtocol ?? local?.protocol ?? '').toUpperCase();
  return `${relay ? 'relay' : 'direct'}${protocol ? `, ${protocol}` : ''}`;
}

/** How old pictures are when they are shown. */
export class AgeMeter {
  #ages = [];
  #video = null;
  #handle = 0;
  #taken;

  /** @param {(rtpTimestamp: number) => number|undefined} taken dates a frame where the browser does not tell its captureTime */
  constructor(taken) {
    this.#taken = taken;
  }

  /** @param {HTMLVideoElement|null} video null stops */
  watch(video) {
    if (video === this.#video) return;
    this.#video?.cancelVideoFrameCallback?.(this.#handle);
    this.#video = video;
    this.#ages = [];
    if (video?.requestVideoFrameCallback) this.#next(video);
  }

  #next(video) {
    this.#handle = video.requestVideoFrameCallback((now, { captureTime, rtpTimestamp, expectedDisplayTime }) => {
      const taken = captureTime ?? this.#taken(rtpTimestamp);
      if (taken !== undefined) this.#ages.push(expectedDisplayTime - taken);
      if (this.#ages.length > 120) this.#ages.shift();
      this.#next(video);
    });
  }

  /** @returns {number|undefined} the median since the last call, milliseconds; undefined when the browser or the camera does not tell */
  take() {
    const sorted = this.#ages.splice(0).sort((a, b) => a - b);
    return sorted[sorted.length >> 1];
  }
}
