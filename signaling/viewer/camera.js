/**
 * One camera of a room, over all its sessions: a new one is made beside the old one,
 * so that nothing that still plays is lost for the try.
 */
import { Peer } from './peer.js';
import { CameraClock } from './clock.js';
import { Session } from './session.js';
import { backoff, crowdedDelay, decide, meaning, show, SILENT, SILENT_NEW_CAMERA } from './policy.js';

export class Camera {
  #room;
  #key;
  #signaling;
  #firstPeer;
  #onChange;
  #info;
  #idSince = 0;
  #current = null;
  #next = null;
  #verdict = null;
  #attempts = 0;
  #retryAt = 0;
  #wasLive = false;
  #playing = false;
  #clock = new CameraClock();
  #wanted = null;

  /**
   * @param {object} options
   * @param {import('./session.js').CameraInfo} options.info
   * @param {string} options.room
   * @param {import('./proof.js').Key|null} options.key
   * @param {import('./signaling.js').Signaling} options.signaling
   * @param {Peer} [options.firstPeer] one that was begun early
   * @param {() => void} options.onChange something to show has changed
   */
  constructor({ info, room, key, signaling, firstPeer, onChange }) {
    this.#room = room;
    this.#key = key;
    this.#signaling = signaling;
    this.#firstPeer = firstPeer;
    this.#onChange = onChange;
    this.#info = info;
    this.name = info.name ?? '';
    /** @type {((message: object) => void)|undefined} hears `controls` and `error` of PROTOCOL.md */
    this.onSetup = undefined;
    /** performance.now() when it left the room, 0 while it is there */
    this.leftAt = 0;
    this.step();
  }

  get info() {
    return this.#info;
  }

  /** Its id in the room, '' when it is not there. */
  get id() {
    return this.leftAt ? '' : this.#info.id;
  }

  /** @returns {MediaStream|null} what to play; stays the same object for a session's life */
  get stream() {
    return this.#current?.stream ?? null;
  }

  get hasAudio() {
    return this.#current?.hasAudio ?? false;
  }

  /** @returns {number} for how long there was nothing to hear, milliseconds */
  get quiet() {
    return performance.now() - (this.#current?.audibleAt ?? -Infinity);
  }

  /** @returns {RTCPeerConnection|null} to read statistics from */
  get pc() {
    return this.#current?.end ? null : this.#current?.peer.pc ?? null;
  }

  /** @returns {object|null} what it last said of this session: `stats` of PROTOCOL.md */
  get report() {
    return this.#current?.report ?? null;
  }

  /** @returns {boolean} whether it says that it sends no picture for now: that one is not lost, and the sound goes on */
  get isPaused() {
    return this.silence < SILENT && Boolean(this.report?.paused);
  }

  /** @param {object} view `view` of PROTOCOL.md: which picture to send, in this session and those to come */
  want(view) {
    this.#wanted = view;
    this.#current?.say(view);
    this.#next?.say(view);
  }

  /** @returns {{count: number, duration: number}} what the browser counts as freezes of this session, and was none; seconds */
  get pauses() {
    return this.#current?.pauses ?? { count: 0, duration: 0 };
  }

  /** @param {object} request to set it up: `controls`, `set` or `step` @returns {boolean} whether it is on its way */
  ask(request) {
    return this.#current?.say(request) ?? false;
  }

  /** Asks the camera what time it is; `taken` knows when it has answered. */
  askTime() {
    this.#current?.say(CameraClock.ask());
  }

  /** @returns {number|undefined} performance.now() when the frame of that RTP timestamp was taken */
  taken(rtpTimestamp) {
    return this.#clock.taken(rtpTimestamp, this.report);
  }

  get silence() {
    return this.#current && !this.#current.end ? this.#current.silence : Infinity;
  }

  /** @returns {import('./policy.js').View} */
  get view() {
    const { failures, joined } = this.#signaling;
    return show({
      verdict: this.#verdict, playing: this.#playing || this.isPaused, silence: this.silence, wasLive: this.#wasLive,
      here: !this.leftAt, attempts: this.#attempts,
      trouble: navigator.onLine === false ? 'offline' : !joined && failures ? 'no-server' : '',
    });
  }

  /** The camera is in the room, as it says. */
  announce(info) {
    const isNew = info.id !== this.#info.id;
    this.leftAt = 0;
    this.name ||= info.name ?? ''; // which a page is not told
    this.#info = info;
    if (isNew) {
      this.#idSince = performance.now();
      this.#verdict = null;
      this.#attempts = this.#retryAt = 0;
    }
    this.step();
  }

  /** It goes on with a session, but over another socket: its network has changed. */
  moved(info, session) {
    this.#session(session)?.rebind(info);
    this.announce(info);
  }

  holds(session) {
    return Boolean(this.#session(session));
  }

  #session(name) {
    return [this.#current, this.#next].find((s) => s?.name === name);
  }

  leave() {
    this.leftAt ||= performance.now();
    this.step();
  }

  /** A picture of the present stream is on the screen. */
  shown() {
    if (this.#playing || !this.#current || this.#current.end) return;
    this.#current.heardAt ||= performance.now();
    this.#playing = this.#wasLive = true;
    this.#verdict = null;
    this.#attempts = 0;
    this.#onChange();
  }

  /** @returns {boolean} whether the message was for one of its sessions */
  receive(message) {
    const session = this.#session(message.session);
    if (!session) return false;
    if (message.from === this.#info.id) session.rebind(this.#info);
    session.receive(message);
    return true;
  }

  /** Twice a second: looks at the media, then at what to do. */
  async tick() {
    await Promise.all([this.#current?.look(), this.#next?.look()]);
    const current = this.#current;
    if (current?.decoding) this.shown(); // a hidden page is not told of frames
    // Media long after the camera joined anew: it is the same program, with a new socket.
    if (current && current.cameraId !== this.#info.id && current.heardAt > this.#idSince + SILENT_NEW_CAMERA) current.rebind(this.#info);
    this.step();
    this.#onChange();
  }

  step() {
    const now = performance.now();
    const link = (s) => s && { id: s.cameraId, startedAt: s.startedAt, heardAt: s.heardAt, silence: s.silence, moved: Math.max(s.restartedAt, this.#signaling.joinedAt) > s.heardAt, lost: !s.stream && s.joins !== this.#signaling.joins };
    const what = decide({
      id: this.id, refused: Boolean(this.#verdict && !this.#verdict.retry),
      current: link(this.#current), next: link(this.#next), retryAt: this.#retryAt,
      joined: this.#signaling.joined, serverAt: this.#signaling.heardAt,
    }, now);
    switch (what) {
      case 'connect':
        this.#connect();
        break;
      case 'ask':
        this.#signaling.ask();
        break;
      case 'keep':
        this.#drop();
        break;
      case 'give up':
        this.#drop();
        this.#failed(now);
        this.step();
        break;
    }
  }

  #connect() {
    const name = this.#firstPeer && this.#signaling.offered;
    const peer = this.#firstPeer ?? new Peer(this.#signaling.iceServers);
    this.#firstPeer = undefined;
    const session = new Session({
      peer, name, camera: this.#info, room: this.#room, key: this.#key, joins: this.#signaling.joins,
      iceServers: () => this.#signaling.iceServers,
      send: (message) => this.#signaling.send(message),
      onOpen: () => this.#wanted && session.say(this.#wanted),
      onControl: (message) => {
        if (session === this.#current && message.type === 'clock') this.#clock.note(message);
        if (session === this.#current && ['controls', 'error'].includes(message.type)) this.onSetup?.(message);
        if (message.type === 'stats') this.#changed(session);
      },
      onChange: () => this.#changed(session),
    });
    this.#next = session;
    session.start();
  }

  #changed(session) {
    if (session !== this.#next && session !== this.#current) return;
    if (session.end) this.#ended(session);
    else if (session === this.#next && session.stream && (!this.#current || session.hasPicture || session.report?.paused)) this.#promote();
    this.#onChange();
  }

  #promote() {
    const old = this.#current;
    this.#current = this.#next;
    this.#next = null;
    this.#playing = false;
    this.#clock = new CameraClock();
    this.#onChange(); // takes what is on the screen before its stream ends
    old?.stop();
  }

  #ended(session) {
    const now = performance.now();
    const { code, message } = session.end;
    if (session === this.#next) this.#next = null;
    else {
      this.#current = null;
      this.#playing = false;
    }
    switch (meaning(code)) {
      case 'reconnect':
        this.#failed(now);
        return;
      case 'ended':
        this.#verdict = { state: 'ended', code, detail: message };
        break;
      case 'later':
        this.#verdict = { state: 'refused', code, detail: message, retry: true };
        this.#retryAt = now + crowdedDelay(this.#attempts++, Math.random());
        break;
      case 'never':
        this.#verdict = { state: 'refused', code, detail: message };
        break;
    }
    // What we still held there is of no use, and may be the very place that we lack.
    if (this.silence > SILENT_NEW_CAMERA) this.#drop('current');
  }

  #failed(now) {
    if (this.#attempts) this.#retryAt = now + backoff(this.#attempts, Math.random());
    this.#attempts++;
  }

  #drop(which = 'next') {
    const session = which === 'next' ? this.#next : this.#current;
    if (which === 'next') this.#next = null;
    else {
      this.#current = null;
      this.#playing = false;
    }
    session?.stop();
  }

  /** Asked for by hand: whatever it said, try once more. */
  retry() {
    this.#verdict = null;
    this.#retryAt = 0;
    this.#attempts = 0;
    this.step();
    this.#onChange();
  }

  close() {
    this.#drop('next');
    this.#drop('current');
    this.#firstPeer?.close();
  }
}
