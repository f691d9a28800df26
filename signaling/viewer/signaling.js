/**
 * The socket to the server, for as long as the page wants it: joins, joins again
 * after a loss, finds out whether it still lives after a sleep.
 */
import { openSocket } from './peer.js';
import { backoff, crowdedDelay, meaning } from './policy.js';

/** A socket that is not joined after so long is given up, milliseconds. */
const JOIN_TIMEOUT = 8000;
/** So long may pass without a message before the server is asked whether it is there. */
const IDLE = 15_000;
const PONG_TIMEOUT = 1000;
/** Sockets that fail in a row before the server is asked by other means. */
const KNOCK = 3;

/**
 * @typedef {object} Refusal
 * @property {string} code of PROTOCOL.md
 * @property {string} message the server's words
 * @property {boolean} retry whether it is tried again by itself
 */

export class Signaling {
  #socket;
  #timers = { retry: 0, join: 0, pong: 0 };
  #attempt = 0;
  #closed = false;
  #expected;
  #knock;

  /**
   * @param {{room: string, token: string, first: import('./early.js').Early, expect?: object, onMessage: (message: object) => void, onChange: () => void}} options
   *   first: has a socket that is open or opening already; expect: what its welcome will
   *   say, where that is known: then nothing waits for it; onMessage hears all but `pong` and
   *   fatal errors; onChange follows every change of the fields below
   */
  constructor({ room, token, first, expect, onMessage, onChange }) {
    this.room = room;
    this.token = token;
    this.onMessage = onMessage;
    this.onChange = onChange;
    this.joined = false;
    /** how often it joined: what went over an earlier socket and was not answered is lost */
    this.joins = 0;
    /** performance.now() when it last did */
    this.joinedAt = 0;
    /** tries that failed in a row */
    this.failures = 0;
    /** @type {Refusal|null} */
    this.refusal = null;
    /** performance.now() of the last message */
    this.heardAt = 0;
    this.iceServers = [];
    /** @type {string|undefined} the session that was offered over the present socket already, after a join */
    this.offered = undefined;
    const isFirst = first.socket?.readyState <= WebSocket.OPEN;
    this.#expected = isFirst ? expect : undefined;
    if (isFirst) this.#use(first.socket, first);
    else this.#use();
  }

  #use(socket = openSocket(), first = {}) {
    const { session: offered, heard = [] } = first;
    this.#knock = undefined;
    this.#socket = socket;
    this.offered = offered;
    first.listen = (data) => heard.push(data);
    const join = () => {
      if (socket !== this.#socket) return;
      if (!offered) socket.send(JSON.stringify({ type: 'join', version: 1, role: 'viewer', room: this.room, token: this.token }));
      if (this.#expected) this.#welcome(this.#expected);
      first.listen = (data) => this.#receive(socket, data);
      for (const data of heard) this.#receive(socket, data);
    };
    socket.onopen = join;
    socket.onmessage = ({ data }) => this.#receive(socket, data);
    socket.onclose = () => this.#lost(socket);
    this.#timer('join', () => this.#drop(), JOIN_TIMEOUT);
    if (socket.readyState === WebSocket.OPEN) queueMicrotask(join); // whoever makes us does not expect a word yet
  }

  #receive(socket, data) {
    if (socket !== this.#socket) return;
    this.heardAt = performance.now();
    this.#timer('pong');
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return; // not of this protocol
    }
    switch (message?.type) {
      case 'pong':
        this.onChange();
        return;
      case 'welcome':
        this.#timer('join');
        this.refusal = null;
        this.#attempt = this.failures = 0;
        this.#welcome(message);
        return;
      case 'ice-servers': // with credentials that last again
        this.iceServers = message.iceServers ?? [];
        return;
      case 'error':
        if (message.fatal) {
          this.#refused(message);
          return;
        }
        break;
    }
    this.onMessage(message);
    this.onChange();
  }

  /** What was expected and what came then count as one. */
  #welcome(message) {
    if (!this.joined) this.joins++;
    this.#expected = undefined;
    this.joined = true;
    this.joinedAt = performance.now();
    this.iceServers = message.iceServers ?? [];
    this.onMessage({ ...message, type: 'welcome' });
    this.onChange();
  }

  #refused({ code, message }) {
    const what = meaning(code);
    if (what !== 'reconnect') this.refusal = { code, message: message ?? '', retry: what === 'later' };
    this.#drop();
  }

  /** Lets go of the socket without waiting for its close event, which may take a minute on a dead network. */
  #drop() {
    const socket = this.#socket;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#lost(socket);
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    this.#socket = this.offered = undefined;
    this.joined = false;
    this.#timer('join');
    this.#timer('pong');
    if (this.#closed) return;
    if (!this.refusal || this.refusal.retry) {
      const delay = this.refusal ? crowdedDelay : backoff;
      this.#timer('retry', () => this.#again(), delay(this.#attempt++, Math.random()));
      this.failures++;
    }
    this.onChange();
  }

  /**
   * Tries again. Browsers hold back those who open sockets in vain, for seconds: whether
   * a server that has been away for a while is there again is asked by other means.
   */
  async #again() {
    if (this.failures > KNOCK && !this.refusal) {
      const knock = (this.#knock = {});
      const there = await fetch('/healthz', { cache: 'no-store', signal: AbortSignal.timeout?.(JOIN_TIMEOUT) })
        .then((r) => r.status < 500, () => false); // 502 to 504 are of a proxy before no server
      if (this.#knock !== knock || this.#closed) return;
      if (!there) {
        this.failures++;
        this.#timer('retry', () => this.#again(), backoff(this.#attempt++, Math.random()));
        return;
      }
    }
    this.#use();
  }

  #timer(name, then, delay) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = then ? setTimeout(then, delay) : 0;
  }

  /** @returns {boolean} whether there was a socket to send it over */
  send(message) {
    if (!this.joined || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Finds out whether the server still is there; a dead socket is replaced after a second. */
  ask() {
    if (this.#timers.pong) return; // it is being found out
    if (this.#timers.asked && performance.now() - this.#timers.asked < 1000) return;
    if (!this.send({ type: 'ping' })) return;
    this.#timers.asked = performance.now();
    this.#timer('pong', () => this.#drop(), PONG_TIMEOUT);
  }

  /** Once a second or so: a server that has been silent for long is asked. */
  tick(now) {
    if (this.joined && now - this.heardAt > IDLE) this.ask();
  }

  /** The network or the person came back: waits no longer. */
  wake() {
    if (this.#closed) return;
    if (this.#socket) this.ask();
    else if (!this.refusal) {
      this.#attempt = 0;
      this.#timer('retry');
      this.#use();
    }
  }

  /** Asked for by hand: tries again whatever was refused. */
  retry() {
    this.refusal = null;
    this.#drop();
    this.wake();
  }

  close() {
    this.#closed = true;
    for (const name of ['retry', 'join', 'pong']) this.#timer(name);
    this.#drop();
  }
}
