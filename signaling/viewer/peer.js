/** The browser's half of a connection before it is known to whom. */

/**
 * The header extensions that cameras send, and the one that no browser stops. What else
 * a browser proposes is a fifth of an offer, and on a thin link a hundredth of a second.
 * With the sender's clock in each frame requestVideoFrameCallback reports captureTime.
 */
const VIDEO_EXTENSIONS = /(:mid|transport-wide-cc-extensions-01|\/playout-delay|\/abs-capture-time)$/;
const AUDIO_EXTENSIONS = /(:mid|transport-wide-cc-extensions-01)$/;

/** One RTCPeerConnection that wants a picture, a sound and the data channel `control`. */
export class Peer {
  #answer;
  #queued = [];

  /**
   * @param {RTCIceServer[]} [iceServers]
   * @param {(sdp: string) => Promise<void>} [tell] is told what is offered, and waited for: setting it keeps the
   *   browser busy for longer than that
   */
  constructor(iceServers = [], tell = undefined) {
    this.iceServers = iceServers;
    /** max-bundle: one transport, so that one set of candidates is gathered. */
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers });
    this.video = this.pc.addTransceiver('video', { direction: 'recvonly' });
    this.audio = this.pc.addTransceiver('audio', { direction: 'recvonly' });
    this.control = this.pc.createDataChannel('control');
    extend(this.video, VIDEO_EXTENSIONS);
    extend(this.audio, AUDIO_EXTENSIONS);
    only(this.video, /\/(VP8|rtx|flexfec-03)$/i);
    only(this.audio, /\/opus$/i);
    // Pictures are shown as they come. The sound waits as long as the network makes it.
    if ('jitterBufferTarget' in this.video.receiver) this.video.receiver.jitterBufferTarget = 0;
    else this.video.receiver.playoutDelayHint = 0;

    /** @type {RTCIceCandidate[]} found and not yet taken by `onCandidate` */
    this.candidates = [];
    /** @type {((candidate: RTCIceCandidate|null) => void)|undefined} */
    this.onCandidate = undefined;
    this.pc.onicecandidate = ({ candidate }) => {
      if (this.onCandidate) this.onCandidate(candidate);
      else if (candidate) this.candidates.push(candidate);
    };

    /** One stream for both, so that the browser plays them in step. */
    this.stream = new MediaStream([this.video, this.audio].map((t) => t.receiver.track));
    /** whether the camera sends sound */
    this.hasAudio = false;
    this.#offer(undefined, tell);
  }

  #offer(options, tell) {
    /** what is offered, without candidates; '' until it is known */
    this.sdp = '';
    /** Resolves when it is: it may be sent before it is set. */
    this.described = this.pc.createOffer(options).then(({ sdp }) => {
      this.sdp = stereo(sdp);
      return tell?.(this.sdp);
    });
    /** Resolves when it is set, and candidates are being gathered. */
    this.offered = this.described.then(() => this.pc.setLocalDescription({ type: 'offer', sdp: this.sdp }));
    // whoever awaits it hears of it; an unused peer must not be an unhandled rejection
    this.offered.catch(() => {});
  }

  /** @param {RTCIceServer[]} iceServers @returns {boolean} whether it asks these, with these credentials */
  asks(iceServers) {
    return JSON.stringify(iceServers) === JSON.stringify(this.iceServers);
  }

  /** @param {RTCIceServer[]} [iceServers] to ask for candidates of what is offered and not set yet, too */
  use(iceServers = []) {
    this.iceServers = iceServers;
    this.pc.setConfiguration({ bundlePolicy: 'max-bundle', iceServers });
  }

  /**
   * Offers anew with candidates of fresh credentials.
   * @param {RTCIceServer[]} iceServers to use from now on
   */
  async reoffer(iceServers) {
    this.use(iceServers);
    this.candidates.length = 0;
    this.onCandidate = undefined; // they would overtake the offer
    this.#offer({ iceRestart: true });
    await this.offered; // until then candidates of the camera would count for what was
  }

  /** @param {string} sdp @returns {boolean} whether that is the answer that it has */
  hasAnswer(sdp) {
    return sdp === this.#answer;
  }

  /**
   * Takes the camera's answer, to an offer that is set.
   * @param {string} sdp one that it has is not taken again
   * @returns {Promise<void>} when the browser has understood it
   */
  answer(sdp) {
    if (this.hasAnswer(sdp)) return this.answered;
    this.#answer = sdp;
    this.answered = this.pc.setRemoteDescription({ type: 'answer', sdp }).then(() => {
      for (const candidate of this.#queued.splice(0)) this.pc.addIceCandidate(candidate).catch(() => {});
      this.hasAudio = this.audio.currentDirection === 'recvonly';
      if (!this.hasAudio) this.stream.removeTrack(this.audio.receiver.track);
    });
    return this.answered;
  }

  /** @param {RTCIceCandidateInit} candidate of the camera; those that overtake its answer wait */
  async add(candidate) {
    if (this.pc.remoteDescription && this.pc.signalingState === 'stable') await this.pc.addIceCandidate(candidate);
    else if (this.#queued.length < 256) this.#queued.push(candidate);
  }

  close() {
    this.onCandidate = () => {};
    this.pc.close();
  }
}

/** Leaves out the header extensions that nobody sends. */
function extend(transceiver, wanted) {
  try {
    transceiver.setHeaderExtensionsToNegotiate(
      transceiver.getHeaderExtensionsToNegotiate()
        .map((e) => ({ ...e, direction: wanted.test(e.uri) ? 'sendrecv' : 'stopped' })));
  } catch {
    // not in this browser: the age of the picture stays unknown
  }
}

/** What no camera sends is most of an offer, and on a thin link a tenth of a second. */
function only(transceiver, wanted) {
  try {
    transceiver.setCodecPreferences(RTCRtpReceiver.getCapabilities(transceiver.receiver.track.kind).codecs.filter((c) => wanted.test(c.mimeType)));
  } catch {
    // not in this browser, or it has none of them: then it says so itself
  }
}

/** RFC 7587: without stereo=1 in its own description a browser plays Opus in mono. */
function stereo(sdp) {
  const opus = /^a=rtpmap:(\d+) opus\/48000\/2\r$/m.exec(sdp)?.[1];
  return opus ? sdp.replace(new RegExp(`^(a=fmtp:${opus} (?!.*stereo=).*)\r$`, 'm'), '$1;stereo=1\r') : sdp;
}

/**
 * @param {string[]} [protocols]
 * @returns {WebSocket} a new socket to the server that this page came from
 */
export function openSocket(protocols = []) {
  const url = new URL('/ws', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url, protocols);
}

/** Where a tab remembers what its link carried. */
const RATE = 'peercam rate';
/** What a link carried so long ago says nothing of now, milliseconds. */
const LATELY = 600_000;
/** A page must be larger to measure a link by, and so much of it comes at once, bytes. */
const [MEASURABLE, AT_ONCE] = [3000, 1400];

/** @param {number} [rate] what the link carries, bit/s */
export function rememberRate(rate) {
  try {
    if (rate) sessionStorage.setItem(RATE, JSON.stringify({ rate, at: Date.now() }));
  } catch {
    // no storage here: the next page measures
  }
}

/** @returns {number|undefined} what the link has carried lately, bit/s: what this page took to come, or what the one before knew */
export function linkRate() {
  const { responseStart, responseEnd, transferSize } = performance.getEntriesByType('navigation')[0] ?? {};
  if (responseEnd > 0 && transferSize >= MEASURABLE && performance.now() < LATELY) {
    return Math.min(1e8, Math.round((8000 * (transferSize - AT_ONCE)) / Math.max(1, responseEnd - responseStart)));
  }
  try {
    const { rate, at } = JSON.parse(sessionStorage.getItem(RATE)) ?? {};
    return Math.abs(Date.now() - at) < LATELY ? Math.round(rate) : undefined;
  } catch {
    return undefined;
  }
}
