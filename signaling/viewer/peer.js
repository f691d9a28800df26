/**
 * The browser's half of a connection before it is known to whom. This module imports
 * nothing, and stands first in the page of a room: it begins while the rest still
 * arrives. What takes longest comes first.
 */

const CAPTURE_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time';

/** One RTCPeerConnection that wants a picture, a sound and the data channel `control`. */
export class Peer {
  /** @param {RTCIceServer[]} [iceServers] */
  constructor(iceServers = []) {
    this.iceServers = iceServers;
    /** max-bundle: one transport, so that one set of candidates is gathered. */
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers });
    this.video = this.pc.addTransceiver('video', { direction: 'recvonly' });
    this.audio = this.pc.addTransceiver('audio', { direction: 'recvonly' });
    this.control = this.pc.createDataChannel('control');
    askForCaptureTime(this.video);
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

  /** @param {RTCIceServer[]} iceServers @returns {boolean} whether it asks these, with these credentials */
  asks(iceServers) {
    return JSON.stringify(iceServers) === JSON.stringify(this.iceServers);
  }

  /**
   * Offers anew with candidates of fresh credentials.
   * @param {RTCIceServer[]} iceServers to use from now on
   */
  async reoffer(iceServers) {
    this.iceServers = iceServers;
    this.pc.setConfiguration({ bundlePolicy: 'max-bundle', iceServers });
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

/** @returns {WebSocket} a new socket to the server that this page came from */
export function openSocket() {
  const url = new URL('/ws', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url);
}

/** What the server wrote into the page of a room: `iceServers` and `cameras` as in `welcome`, where it told them. */
const told = document.getElementById('opening')?.textContent;
const opening = told ? JSON.parse(told) : {};

/** @type {{socket?: WebSocket, peer?: Peer, cameras?: import('./session.js').CameraInfo[]}} what was begun; the page of a room takes it over */
export const early = !told ? {} : {
  socket: 'WebSocket' in window ? openSocket() : undefined,
  peer: 'RTCPeerConnection' in window ? new Peer(opening.iceServers) : undefined,
  cameras: opening.cameras,
};

/** What a link with a key needs besides, on its way while the socket opens. */
if (told && /[#&]k=/.test(location.hash)) {
  document.head.append(Object.assign(document.createElement('link'), { rel: 'modulepreload', href: `${document.documentElement.dataset.viewer}proof.js` }));
}
