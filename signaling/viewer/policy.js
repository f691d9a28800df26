/**
 * What to do when: pure, told the time, no clock, no network, no page.
 * All times are milliseconds of one clock.
 */

/** Nothing arrived for so long: the picture counts as lost on the screen. */
export const SILENT = 2000;
/** ... and a camera that came back under a new id is connected to. */
export const SILENT_NEW_CAMERA = 900;
/** ... and a new session to the same camera is tried. */
export const SILENT_SAME_CAMERA = 3000;
/** A session without a picture after so long is given up. */
export const SETUP = 10_000;
/** A timer that comes so late means that the machine slept. */
export const SLEPT = 5000;
/** A camera that left is shown as long beside others. */
export const GONE = 20_000;

/**
 * Time to wait before the next try: doubles from 250 ms to 2 s, and to 10 s after some
 * minutes, of which up to half is random, so that the viewers of a restarted server do
 * not come at once. A camera that was switched off and on again is not waited for.
 * @param {number} attempt how many tries failed before
 * @param {number} random in [0, 1)
 */
export function backoff(attempt, random) {
  const full = Math.min(attempt < 200 ? 2000 : 10_000, 250 * 2 ** Math.min(attempt, 16));
  return full * (1 - random / 2);
}

/** Errors that end this socket only. */
const PASSING = new Set(['closing', 'slow', 'rate-limited', 'too-large', 'bad-message']);
/** Refusals that may be over in a while. */
const CROWDED = new Set(['room-full', 'too-many', 'busy']);

/**
 * What a fatal error of the server, or a `bye` of a camera, means.
 * @param {string} code
 * @returns {'reconnect'|'later'|'never'|'ended'} try at once; try every few seconds and say so;
 *   refused until something changes; over
 */
export function meaning(code) {
  if (code === 'ended') return 'ended';
  if (code === 'failed' || code === 'left' || PASSING.has(code)) return 'reconnect';
  return CROWDED.has(code) ? 'later' : 'never';
}

/** Time to wait when there is no room: 5 s at first, then up to 30 s. */
export const crowdedDelay = (attempt, random) => Math.min(30_000, 5000 * 2 ** Math.min(attempt, 8)) * (1 - random / 4);

/**
 * @typedef {object} Link One session as the policy sees it.
 * @property {string} id the camera it is with
 * @property {number} startedAt
 * @property {number} heardAt when media last arrived, 0 for never
 * @property {boolean} moved since media last came the camera asked for an ICE restart, or we needed another socket:
 *   a network has changed
 * @property {boolean} lost its offer went over a socket that is gone, unanswered
 * @property {number} silence since then, or since the start, as of the last look
 *
 * @typedef {object} Camera
 * @property {string} id its present id, '' when it is not there
 * @property {boolean} refused this id refused us or ended, for good
 * @property {Link|null} current the session on the screen
 * @property {Link|null} next the session that is to replace it
 * @property {number} retryAt no new session before
 * @property {boolean} joined whether there is a socket to offer over
 * @property {number} serverAt when the server last was heard
 */

/**
 * One look at a camera.
 * @param {Camera} c
 * @param {number} now
 * @returns {'stay'|'connect'|'give up'|'keep'|'ask'} nothing to do; start a session
 *   beside the current one; end the one being made; end it because the current one
 *   came back; ask the server whether it is there
 */
export function decide(c, now) {
  const silence = c.current?.silence ?? Infinity;
  if (c.next) {
    if (c.current && c.current.heardAt > c.next.startedAt && !c.next.heardAt && silence < SILENT_NEW_CAMERA) return 'keep';
    if (c.next.lost || now - c.next.startedAt > SETUP) return 'give up';
    if (c.next.id !== c.id && c.id && !c.next.heardAt) return 'give up';
    return 'stay';
  }
  if (!c.id || c.refused || !c.joined || now < c.retryAt) return 'stay';
  if (!c.current) return 'connect';
  if (silence < SILENT_NEW_CAMERA) return 'stay';
  if (c.current.id !== c.id) return 'connect';
  if (!c.current.heardAt && silence < SETUP) return 'stay';
  // The server was heard since the media stopped: so it is the media's path that
  // broke, not the whole network, which would come back without our help.
  const serverAlive = c.serverAt > now - silence + SILENT_NEW_CAMERA;
  if (!serverAlive) return 'ask';
  // A browser may hold on to the way that is gone for some seconds more.
  return silence >= (c.current.moved ? SILENT_NEW_CAMERA : SILENT_SAME_CAMERA) ? 'connect' : 'stay';
}

/**
 * Which known camera each announced one is: the one with its id, else one of the same
 * name that is gone or silent (a restarted camera comes with a new id, and the server
 * may take a while to notice that the old one is dead), else none.
 * @param {{id: string, name: string, silent: boolean}[]} known
 * @param {{id: string, name?: string}[]} announced
 * @returns {number[]} for each announced camera the index of the known one, -1 for a new one
 */
export function match(known, announced) {
  const here = new Set(announced.map((a) => a.id));
  const taken = new Set();
  const take = (i) => {
    if (i >= 0) taken.add(i);
    return i;
  };
  const byId = announced.map((a) => take(known.findIndex((k) => k.id === a.id)));
  return announced.map((a, n) => (byId[n] >= 0 ? byId[n] : take(known.findIndex(
    (k, i) => !taken.has(i) && k.name === (a.name ?? '') && (k.silent || !here.has(k.id))))));
}

/**
 * @typedef {object} View What a person is told.
 * @property {'connecting'|'waiting'|'live'|'reconnecting'|'refused'|'ended'} state
 * @property {string} code why, '' when it goes as it should; words.js has a text for each
 * @property {string} [detail] what the other side said
 * @property {boolean} [retry] whether a refusal is tried again by itself
 */

/**
 * What to show of one camera.
 * @param {object} c
 * @param {View|null} c.verdict what a camera said last, if it was a refusal or an end
 * @param {boolean} c.playing a picture of the current session is on the screen, or its camera says why there is none
 * @param {number} c.silence since media arrived
 * @param {boolean} c.wasLive a picture has been on the screen before
 * @param {boolean} c.here the camera is in the room
 * @param {number} c.attempts sessions that failed in a row
 * @param {string} c.trouble of the way to the server: '', 'offline' or 'no-server'
 * @returns {View}
 */
export function show(c) {
  if (c.playing && c.silence < SILENT) return { state: 'live', code: '' };
  if (c.verdict) return c.verdict;
  if (c.wasLive) return { state: 'reconnecting', code: c.trouble || (c.here ? 'silent' : 'camera-left') };
  if (!c.here) return { state: 'waiting', code: c.trouble };
  return { state: 'connecting', code: c.trouble || (c.attempts > 1 ? 'no-path' : '') };
}

/**
 * The view that stands for a room of several cameras.
 * @param {View[]} views not empty
 * @returns {View}
 */
export function best(views) {
  const order = ['live', 'reconnecting', 'connecting', 'waiting', 'refused', 'ended'];
  return views.reduce((a, b) => (order.indexOf(b.state) < order.indexOf(a.state) ? b : a));
}
