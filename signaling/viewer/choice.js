/** Which picture a person wants of a room, and why it is as it is: pure but for what is remembered. */

/**
 * @typedef {object} Choice as in the message `view` of PROTOCOL.md
 * @property {'auto'|'saver'|'fixed'} choice
 * @property {number} [maxHeight] pixels, with `fixed`
 *
 * @typedef {{width: number, height: number}} Size pixels
 */

/** @type {Choice} */
export const AUTO = { choice: 'auto' };
/** @type {Choice} */
export const SAVER = { choice: 'saver' };

const STORE = 'peercam.picture.';

/** @param {unknown} value @returns {Choice} auto unless it is one */
function checked(value) {
  if (value?.choice === 'saver') return SAVER;
  if (value?.choice === 'fixed' && value.maxHeight > 0) return { choice: 'fixed', maxHeight: Math.round(value.maxHeight) };
  return AUTO;
}

/** @param {string} room @returns {Choice} what was last chosen for it in this browser */
export function remembered(room) {
  try {
    return checked(JSON.parse(localStorage.getItem(STORE + room)));
  } catch {
    return AUTO; // storage is switched off, or holds something else
  }
}

/** @param {string} room @param {Choice} choice */
export function keep(room, choice) {
  try {
    if (choice.choice === 'auto') localStorage.removeItem(STORE + room);
    else localStorage.setItem(STORE + room, JSON.stringify(choice));
  } catch {
    // full or switched off: it holds until the page is closed
  }
}

/**
 * What can be chosen.
 * @param {Size[]} rungs of all cameras that the choice is for
 * @returns {{label: string, about: string, choice: Choice}[]}
 */
export function options(rungs) {
  const heights = [...new Set(rungs.map((r) => r?.height).filter((h) => h > 0))].sort((a, b) => b - a);
  return [
    { label: 'Auto', about: 'As large as fits', choice: AUTO },
    ...(heights.length > 1 ? heights : []).map((h) => ({ label: `${h}p`, about: '', choice: { choice: 'fixed', maxHeight: h } })),
    { label: 'Data saver', about: 'Small, fewer frames', choice: SAVER },
  ];
}

/**
 * Which option stands for a choice; a height that is not there means the next smaller one.
 * @param {ReturnType<typeof options>} all @param {Choice} choice @returns {number} index
 */
export function chosen(all, { choice, maxHeight }) {
  const fixed = all.flatMap((o, i) => (o.choice.choice === 'fixed' ? [i] : []));
  if (choice === 'fixed' && !fixed.length) return 0;
  if (choice === 'fixed') return fixed.find((i) => all[i].choice.maxHeight <= maxHeight) ?? fixed.at(-1);
  return all.findIndex((o) => o.choice.choice === choice);
}

/** What keeps the picture from being larger or more fluid: as a line says it, and as a figure. */
const WHY = {
  bandwidth: ['the link carries no more', 'the link'],
  choice: ['as chosen', 'your choice'],
  window: ['shown no larger', 'its size here'],
  machine: ['the camera’s machine is busy', 'the camera’s machine'],
};
const because = (why) => (Object.hasOwn(WHY, why ?? '') ? WHY[why] : ['', '']);

/** @param {string|undefined} why of the camera @returns {string} what limits the picture, '' for nothing */
export const limit = (why) => because(why)[1];

/**
 * What one gets, in a line; '' when the camera does not tell.
 * @param {object|null} report `stats` of PROTOCOL.md
 */
export function gist(report) {
  const { rungs, rung, width, height, layer, layers, why, paused } = report ?? {};
  if (!Array.isArray(rungs)) return '';
  if (paused) return why === 'bandwidth' ? 'Paused · the link is too thin for pictures' : 'Paused';
  const what = [
    width && height ? `${width} × ${height}` : '',
    rungs.length > 1 && Number.isInteger(rung) ? `rung ${rung + 1} of ${rungs.length}` : '',
    layers > 1 ? (layer >= layers - 1 ? 'all layers' : `${layer + 1} of ${layers} layers`) : '',
  ].filter(Boolean).join(', ');
  return [what, because(why)[0]].filter(Boolean).join(' · ');
}
