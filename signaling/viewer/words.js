/** What a person is told in each state: one thing at a time, why, and what will happen. */
import { ICONS } from './icons.js';

/**
 * @typedef {object} Words
 * @property {string} title
 * @property {string} why
 * @property {string} then what will happen, or what to do
 * @property {string[]} icon as `draw` of dom.js takes it
 * @property {'retry'|'reload'|'remembered'|''} action
 * @property {boolean} busy whether something goes on by itself
 */

const entry = (icon, title, why, then, action = '', busy = false) => ({ icon: ICONS[icon], title, why, then, action, busy });
const BY_ITSELF = 'It is tried again by itself.';

const TEXTS = {
  connecting: {
    '': () => entry('camera', 'Connecting', '', '', '', true),
    offline: () => entry('offline', 'No network', 'This device is offline.', 'The picture comes as soon as the network is back.', '', true),
    'no-server': () => entry('offline', 'Connecting', 'The server does not answer.', BY_ITSELF, '', true),
    'no-path': () => entry('camera', 'Connecting', 'No way to the camera was found yet: a network between may block it.', BY_ITSELF, '', true),
  },
  waiting: {
    '': ({ room }) => entry('camera', 'Waiting for the camera', `No camera is on in “${room}” right now.`, 'The picture appears here as soon as one is.', '', true),
    offline: () => entry('offline', 'No network', 'This device is offline.', 'The picture comes as soon as the network is back.', '', true),
    'no-server': () => entry('offline', 'Waiting for the server', 'The server does not answer.', BY_ITSELF, '', true),
  },
  reconnecting: {
    '': () => entry('camera', 'Reconnecting', 'The picture stopped arriving.', BY_ITSELF, '', true),
    'camera-left': () => entry('camera', 'The camera is away', 'It left without a word; it may be restarting.', 'The picture comes back by itself.', '', true),
    offline: () => entry('offline', 'No network', 'This device is offline.', 'The picture comes back with the network.', '', true),
    'no-server': () => entry('offline', 'Reconnecting', 'Neither the camera nor the server answers.', BY_ITSELF, '', true),
  },
  ended: {
    '': ({ detail }) => entry('stop', 'The camera was stopped', detail && detail !== 'the camera was stopped' ? sentence(detail) : 'Its owner ended the picture.', 'It comes back here by itself when the camera starts again.', 'retry'),
  },
  refused: {
    '': ({ detail }) => entry('warn', 'No picture', sentence(detail) || 'The other side refused.', '', 'retry'),
    forbidden: ({ hasKey, detail }) => (hasKey
      ? entry('key', 'This link does not fit', sentence(detail) || 'Its key is not the one of this room.', 'Ask for the present link, and open it whole.', 'retry')
      : entry('link', 'This link is not complete', 'The room has a key, and it is missing in the address.', 'Open the complete link, including the part after #.', 'remembered')),
    'no-key': () => entry('link', 'This link is not complete', 'The camera has a key, and it is missing in the address.', 'Open the complete link, including the part after #.', 'remembered'),
    'bad-key': ({ detail }) => entry('link', 'This link is damaged', sentence(detail), 'Copy the whole link again, to its very end.'),
    proof: () => entry('key', 'Not connected, to be safe', 'This link’s key does not fit this camera, or the server is not honest.', 'Ask for the present link. Nothing was sent or shown.', 'retry'),
    busy: ({ detail }) => entry('crowd', 'The camera is fully booked', sentence(detail) || 'It has as many viewers as it allows.', 'The picture comes as soon as there is room.', 'retry', true),
    'room-full': () => entry('crowd', 'The room is full', 'No more viewers are let in right now.', BY_ITSELF, 'retry', true),
    'too-many': () => entry('crowd', 'Too many pages are open', 'The server takes only so many connections from one address.', `Close some. ${BY_ITSELF}`, 'retry', true),
    version: () => entry('warn', 'This page is out of date', 'The server speaks a newer version.', 'Load the page again.', 'reload'),
    'bad-room': ({ detail }) => entry('link', 'There is no such room', sentence(detail) || 'Its name is not one that a room can have.', 'Check the link.'),
    'bad-offer': ({ detail }) => entry('warn', 'This browser and the camera do not match', sentence(detail) || 'The camera sends VP8, which every current browser plays.', 'Try another browser.', 'retry'),
    'bad-answer': ({ detail }) => entry('warn', 'The camera’s answer cannot be used', sentence(detail), '', 'retry'),
    unsupported: ({ detail }) => entry('warn', 'This browser cannot show it', sentence(detail), 'Use a current Chrome, Edge, Firefox or Safari.'),
  },
};

/** @param {string|undefined} text as programs say it @returns {string} as people read it */
function sentence(text) {
  if (!text) return '';
  const short = text.length > 200 ? `${text.slice(0, 199)}…` : text;
  return short[0].toUpperCase() + short.slice(1) + (/[.!?…]$/.test(short) ? '' : '.');
}

/**
 * @param {{isPaused: boolean, hasAudio: boolean, report: object|null}} camera
 * @returns {string} why no picture comes from a camera that is there, '' when that needs no word:
 *   a picture that nobody looks at pauses too
 */
export function pause({ isPaused, hasAudio, report }) {
  if (!isPaused || report.why !== 'bandwidth') return '';
  return `The link is too thin for pictures${hasAudio ? '; sound goes on' : ''}`;
}

/**
 * @param {import('./policy.js').View} view
 * @param {{room: string, hasKey: boolean}} about
 * @returns {Words|null} null when the picture speaks for itself
 */
export function words({ state, code, detail }, about) {
  if (state === 'live') return null;
  const texts = TEXTS[state];
  return (texts[code] ?? texts[''])({ ...about, detail });
}
