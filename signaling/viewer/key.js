/** Keys and fingerprints as they are written. PROTOCOL.md, "The key". */

/**
 * @param {string} hash location.hash
 * @returns {string} the key as it stands in the link, '' when there is none
 */
export function keyInHash(hash) {
  return new URLSearchParams(hash.slice(1)).get('k')?.trim() ?? '';
}

/**
 * @param {string} text
 * @returns {boolean} whether it is 16 bytes in base64url, as keys, nonces and session
 *   ids are; strict in the bits that are left over, so that each has one spelling
 */
export const isKey = (text) => /^[A-Za-z0-9_-]{21}[AQgw]$/.test(text);

/** @param {string} a @param {string} b @returns {boolean} compared in a time that does not tell where they differ */
export function equal(a, b) {
  let differ = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) differ |= a.charCodeAt(i) ^ b.charCodeAt(i % (b.length || 1));
  return differ === 0;
}

/**
 * The fingerprint that a description stands for (RFC 8122): sha-256, and the same in
 * all its `a=fingerprint` lines. A proof is worth only as much as the certainty that
 * the browser finds the same one, so nothing is read leniently: the word may stand
 * nowhere but at the head of a well-formed attribute.
 * @param {string} sdp
 * @returns {string} upper case hex with colons
 * @throws {Error} when there is none, another hash, or two that differ
 */
export function fingerprint(sdp) {
  let found = '';
  for (const line of String(sdp).split(/[\r\n]+/)) {
    if (!/fingerprint/i.test(line)) continue;
    const value = /^a=fingerprint:sha-256 ((?:[0-9a-f]{2}:){31}[0-9a-f]{2})$/i.exec(line)?.[1].toUpperCase();
    if (!value || !line.startsWith('a=fingerprint:')) throw new Error('its fingerprint is not sha-256, or misplaced');
    if (found && found !== value) throw new Error('it has two fingerprints that differ');
    found = value;
  }
  if (!found) throw new Error('it has no fingerprint');
  return found;
}
