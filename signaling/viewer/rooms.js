/** The rooms that this browser was let into, in localStorage. */

const STORE = 'peercam.rooms';

/**
 * @typedef {object} Remembered
 * @property {string} room
 * @property {string} key as in the link, '' for an open room
 * @property {string} name of the camera last seen there
 * @property {number} seen when, milliseconds since 1970
 */

/** @returns {Remembered[]} the last seen first */
export function rooms() {
  try {
    const list = JSON.parse(localStorage.getItem(STORE) ?? '[]');
    return list.filter((r) => typeof r?.room === 'string' && typeof r.key === 'string').sort((a, b) => b.seen - a.seen);
  } catch {
    return []; // storage is switched off, or holds something else
  }
}

/** @param {Remembered} entry */
export function remember(entry) {
  save([entry, ...rooms().filter((r) => r.room !== entry.room)].slice(0, 100));
}

/** @param {string} room */
export function forget(room) {
  save(rooms().filter((r) => r.room !== room));
}

function save(list) {
  try {
    localStorage.setItem(STORE, JSON.stringify(list));
  } catch {
    // full or switched off: the page works without
  }
}

/** @param {Remembered} entry @returns {string} the room's link on this server */
export const linkTo = ({ room, key }) => `/${encodeURIComponent(room)}${key ? `#k=${key}` : ''}`;
