/**
 * The browser's half of a connection before it is known to whom. This module imports
 * nothing, and on the page of a room it begins as soon as it is there, while the rest
 * still loads: what takes longest comes first.
 */

const CAPTURE_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time';

/** One RTCPeerConnection that wants a picture, a sound and the data channel `control`. */
export class Peer {
  constructor() {
    /** max-bundle: one transport, so that one set of candidates is gathered. */
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.video = this.pc.addTransceiver('video', { direction: 'recvonly' });
    this.audio = this.pc.addTransceiver('audio', { direction: 'recvonly' });
    this.control = this.pc.createDataChannel('control');
    askForCaptureTime(this.video);
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

    /** whether the local description is set */
    this.isReady = false;
    /** Resolves when it is, and candidates are being gathered. */
    this.offered = this.#offer();
    // whoever awaits `offered` hears of it; an unused peer must not be an unhandled rejection
    this.offered.catch(() => {});
  }

  async #offer(options) {
    const offer = await this.pc.createOffer(options);
    await this.pc.setLocalDescription({ type: 'offer', sdp: stereo(offer.sdp) });
    this.isReady = true;
  }

  /**
   * Offers anew with candidates of fresh credentials.
   * @param {RTCIceServer[]} [iceServers] to use from now on; unchanged when left out
   */
  async reoffer(iceServers) {
    if (iceServers) this.pc.setConfiguration({ bundlePolicy: 'max-bundle', iceServers });
    this.candidates.length = 0;
    this.onCandidate = undefined; // they would overtake the offer
    await this.#offer({ iceRestart: true });
  }

  close() {
    this.onCandidate = () => {};
    this.pc.close();
  }
}

/** The sender's clock in each frame lets requestVideoFrameCallback report captureTime. */
function askForCaptureTime(transceiver) {
  try {
    transceiver.setHeaderExtensionsToNegotiate(
      transceiver.getHeaderExtensionsToNegotiate()
        .map((e) => (e.uri === CAPTURE_TIME ? { ...e, direction: 'sendrecv' } : e)));
  } catch {
    // not in this browser: the age of the picture stays unknown
  }
}

/** RFC 7587: without stereo=1 in its own description a browser plays Opus in mono. */
function stereo(sdp) {
  const opus = /^a=rtpmap:(\d+) opus\/48000\/2\r$/m.exec(sdp)?.[1];
  return opus ? sdp.replace(new RegExp(`^(a=fmtp:${opus} (?!.*stereo=).*)\r$`, 'm'), '$1;stereo=1\r') : sdp;
}

/** @returns {WebSocket} a new socket to the server that this page came from */
export function openSocket() {
  const url = new URL('/ws', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url);
}

/** What a link with a key needs besides, on its way while the socket opens. */
if (/[#&]k=/.test(location.hash)) {
  for (const name of ['proof', ...['hkdf', 'hmac', 'sha2', 'utils', '_md', '_u64'].map((n) => `vendor/noble/${n}`)]) {
    document.head.append(Object.assign(document.createElement('link'), { rel: 'modulepreload', href: new URL(`${name}.js`, import.meta.url) }));
  }
}

const isRoom = 'state' in document.documentElement.dataset;

/** @type {{socket?: WebSocket, peer?: Peer}} what was begun; the page of a room takes it over */
export const early = {
  socket: isRoom && 'WebSocket' in window ? openSocket() : undefined,
  peer: isRoom && 'RTCPeerConnection' in window ? new Peer() : undefined,
};
