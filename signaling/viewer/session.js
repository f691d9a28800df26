/** One peer connection with one camera: offer, proof, answer, candidates, media, end. */
import { newSessionId } from './id.js';
import { isKey } from './key.js';
import { linkRate } from './peer.js';

/** A freeze that is seen so long after the camera last said that it pauses is due to that, milliseconds. */
const PAUSE_OVER = 2500;

/** A packet of Opus that holds nothing but silence has three bytes; the quietest room has fifty. */
const SILENCE = 8;

/** Fewer packets tell nothing: an encoder's first one is longer, whatever it hears. */
const SOME = 10;

/**
 * @typedef {{id: string, nonce?: string, name?: string}} CameraInfo as in `welcome`
 *
 * @typedef {object} End
 * @property {string} code of PROTOCOL.md
 * @property {string} message why, '' when there is nothing to add
 */

export class Session {
  #isOffered;
  #isHeeded = true;
  #offered = '';
  #restarting = false;
  #camera;
  #room;
  #key;
  #send;
  #iceServers;
  #bytes = 0;
  #sound = { bytes: 0, packets: 0 };
  #lookedAt;
  #pausedAt = -Infinity;
  #freezes = { count: 0, duration: 0 };

  /**
   * @param {object} options
   * @param {import('./peer.js').Peer} options.peer whose offer is being made
   * @param {string} [options.name] under which it is on its way to the camera already
   * @param {CameraInfo} options.camera
   * @param {string} options.room
   * @param {import('./proof.js').Key|null} options.key null in an open room
   * @param {number} options.joins how often signaling had joined when this began
   * @param {() => RTCIceServer[]} options.iceServers those of now: credentials expire
   * @param {(message: object) => boolean} options.send
   * @param {() => void} options.onOpen requests can be sent to the camera
   * @param {(message: object) => void} options.onControl what the camera says over the data channel
   * @param {() => void} options.onChange there is a stream, or media, or an end
   */
  constructor({ peer, name, camera, room, key, joins, iceServers, send, onOpen, onControl, onChange }) {
    this.name = name ?? newSessionId();
    this.#isOffered = Boolean(name);
    this.#iceServers = iceServers;
    this.joins = joins;
    this.peer = peer;
    this.startedAt = performance.now();
    /** performance.now() when media, or a word of the camera, last was seen to arrive, 0 for never */
    this.heardAt = 0;
    /** performance.now() when the camera last asked for an ICE restart, 0 for never */
    this.restartedAt = 0;
    /** whether a picture is arriving, or was */
    this.hasPicture = false;
    /** @type {object|null} the camera's last `stats` */
    this.report = null;
    /** what the browser counts as freezes and was none: the camera had said that it pauses; seconds */
    this.pauses = { count: 0, duration: 0 };
    this.#lookedAt = this.startedAt;
    /** @type {MediaStream|null} from the answer on */
    this.stream = null;
    this.hasAudio = false;
    /** performance.now() when there was anything to hear at the last time, also by a page that is muted */
    this.audibleAt = -Infinity;
    /** whether a picture was decoded, as of the last look */
    this.decoding = false;
    /** @type {End|null} */
    this.end = null;
    this.onChange = onChange;
    this.#camera = camera;
    this.#room = room;
    this.#key = key;
    this.#send = send;

    const { pc, control, video } = peer;
    pc.onconnectionstatechange = () => {
      if (pc.connectionState === 'failed') this.stop('failed', 'the connection was lost');
    };
    video.receiver.track.onunmute = () => {
      this.heardAt = performance.now();
      this.hasPicture = true;
      this.onChange();
    };
    control.onopen = () => {
      this.say({ type: 'hello', version: 1 });
      onOpen();
    };
    control.onmessage = ({ data }) => {
      let message;
      try {
        message = JSON.parse(data);
      } catch {
        return; // from a later version, perhaps
      }
      // comes this way too, since signaling may be away
      if (message?.type === 'bye') this.#close(message.code || 'failed', message.message ?? '');
      else if (message) this.#hear(message, onControl);
    };
  }

  #hear(message, onControl) {
    this.heardAt = performance.now(); // while the picture pauses, this is all that a browser may count
    if (message.type === 'stats') {
      this.report = message;
      if (message.paused) this.#pausedAt = this.heardAt;
    }
    onControl(message);
  }

  get cameraId() {
    return this.#camera.id;
  }

  /** The camera joined again: it has another id and another nonce, but still this session. */
  rebind(camera) {
    this.#camera = camera;
  }

  async start() {
    try {
      // no turn of the event loop when there is nothing to wait for: the offer goes out before anything is drawn
      if (!this.peer.sdp) await this.peer.described;
      // The room is open, but the link says it is not: whoever answers does not hold the key.
      if (this.#key && !isKey(this.#camera.nonce ?? '')) return this.stop('proof', 'the camera holds no key');
      if (!this.#key && this.#camera.nonce) return this.stop('no-key', 'the camera has a key');
      const iceServers = this.#iceServers();
      if (!this.peer.asks(iceServers) && !this.end) {
        await this.peer.reoffer(iceServers);
        this.#isOffered = false;
      }
      if (this.#isOffered) this.#catchUp();
      else this.#offer();
    } catch (err) {
      this.stop('bad-offer', `this browser could not make an offer: ${err.message}`);
    }
  }

  #offer() {
    if (this.end) return;
    const { sdp } = this.peer;
    const proof = this.#key?.offerProof({ room: this.#room, session: this.name, nonce: this.#camera.nonce, offer: sdp });
    this.#tell({ type: 'offer', sdp, proof, rate: linkRate() });
    this.#offered = sdp;
    this.#trickle();
  }

  /** It was begun before anybody listened. What is said over the socket may overtake the offer, as long as there is no answer. */
  #catchUp() {
    this.#offered = this.peer.sdp;
    if (this.peer.answered) this.#trickle();
    else this.#isHeeded = false;
    const { control, video } = this.peer;
    if (!video.receiver.track.muted) video.receiver.track.onunmute();
    if (control.readyState === 'open') control.onopen();
  }

  /** The offer is on its way, or there, and now its candidates. */
  #trickle() {
    this.peer.onCandidate = (candidate) => this.#tell({ type: 'candidate', candidate });
    this.peer.candidates.splice(0).forEach(this.peer.onCandidate);
    if (this.peer.pc.iceGatheringState === 'complete') this.peer.onCandidate(null);
  }

  #tell(message) {
    return this.#send({ ...message, to: this.#camera.id, session: this.name });
  }

  /** @param {object} message of this session, from the server */
  async receive(message) {
    if (this.end) return;
    const { pc } = this.peer;
    try {
      switch (message.type) {
        case 'answer':
          await this.peer.offered; // a camera that is near may be quicker than this browser
          if (pc.signalingState === 'have-local-offer' || this.peer.hasAnswer(message.sdp)) await this.#answer(message.sdp, message.proof);
          break;
        case 'candidate':
          if (message.candidate?.candidate) await this.peer.add(message.candidate);
          break;
        case 'restart':
          await this.#restart();
          break;
        case 'bye':
          this.#close(message.code || 'failed', message.message ?? '');
          break;
        case 'error':
          // About the offer it is the end; about a late candidate it is nothing to one that plays.
          await this.peer.offered;
          if (pc.signalingState === 'have-local-offer') this.#close('failed', message.message ?? '');
          break;
      }
    } catch (err) {
      // a candidate that the browser does not understand is one way fewer, no more
      if (message.type !== 'candidate') this.stop('bad-answer', err.message);
    }
  }

  /**
   * Asked twice it offers once, but says it again: the first may have gone to a socket
   * that the camera's old network took with it.
   */
  async #restart() {
    if (this.#restarting) return;
    this.#restarting = true;
    this.restartedAt = performance.now();
    try {
      await this.peer.offered;
      if (this.peer.pc.signalingState === 'stable') await this.peer.reoffer(this.#iceServers());
      this.#offer();
    } finally {
      this.#restarting = false;
    }
  }

  async #answer(sdp, proof) {
    const about = { room: this.#room, session: this.name, nonce: this.#camera.nonce, offer: this.#offered, answer: sdp };
    if (this.#key && !this.#key.isAnswerProof(proof, about)) return this.stop('proof', 'the answer is not proved');
    const answered = this.peer.answer(sdp);
    if (!this.#isHeeded) {
      this.#isHeeded = true;
      this.#trickle();
    }
    if (!this.stream) {
      // shown at once, so that the page gets ready to play while the connection is made
      this.stream = this.peer.stream;
      this.onChange();
    }
    await answered;
    this.hasAudio = this.peer.hasAudio;
    this.onChange();
  }

  /**
   * Looks whether anything arrived since the last look. What the transport got counts
   * too (the camera's statistics, its sender reports): a source of one frame in some
   * seconds is slow, not dead.
   */
  async look() {
    if (this.end || !this.stream) return;
    let bytes = 0;
    for (const report of (await this.peer.video.receiver.getStats()).values()) {
      if (report.type === 'inbound-rtp' || report.type === 'transport') bytes += report.bytesReceived ?? 0;
      if (!report.framesDecoded) continue;
      this.decoding = true;
      this.#count(report);
    }
    this.#lookedAt = performance.now();
    if (bytes > this.#bytes) this.heardAt = this.#lookedAt;
    this.#bytes = bytes;
    if (this.hasAudio) await this.#listen();
  }

  /** A microphone that is muted or not there sends silence. A page that is muted is told of no level, but of bytes. */
  async #listen() {
    for (const report of (await this.peer.audio.receiver.getStats()).values()) {
      if (report.type !== 'inbound-rtp') continue;
      const { bytesReceived: bytes, packetsReceived: packets } = report;
      if (packets - this.#sound.packets < SOME) continue;
      if (bytes - this.#sound.bytes > SILENCE * (packets - this.#sound.packets)) this.audibleAt = performance.now();
      this.#sound = { bytes, packets };
    }
  }

  /** A browser sees a freeze only when the next picture has come: soon after the pause. */
  #count({ freezeCount: count = 0, totalFreezesDuration: duration = 0 }) {
    if (performance.now() - this.#pausedAt < PAUSE_OVER) {
      this.pauses.count += count - this.#freezes.count;
      this.pauses.duration += duration - this.#freezes.duration;
    }
    this.#freezes = { count, duration };
  }

  /**
   * @returns {number} for how long nothing had arrived when it was last looked, ms: a
   *   page whose timers come late must not take its own sleep for that of the camera
   */
  get silence() {
    return Math.max(0, this.#lookedAt - Math.max(this.heardAt, this.startedAt));
  }

  /** @param {object} request to the camera, over the data channel */
  say(request) {
    const { control } = this.peer;
    if (control.readyState !== 'open') return false;
    control.send(JSON.stringify(request));
    return true;
  }

  /** Ends it from our side and tells the camera, on both ways. */
  stop(code = 'left', message = '') {
    if (this.end) return;
    this.say({ type: 'bye' });
    if (this.#offered) this.#tell({ type: 'bye', code: code === 'proof' || code === 'failed' ? code : 'left', message });
    this.#close(code, message);
  }

  #close(code, message) {
    if (this.end) return;
    this.end = { code, message };
    this.peer.close();
    this.onChange();
  }
}
