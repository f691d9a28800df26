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
