/**
 * The link's key at work: what it says to the server (the room token) and to the camera
 * (the proofs). PROTOCOL.md, "The key". No crypto.subtle: on plain http it is absent.
 * An open room needs none of this, so it is loaded for a key only.
 */
import { base64url } from './id.js';
import { equal, fingerprint, isKey, keyInHash } from './key.js';
import { hmac, sha256 } from './vendor/noble/hashes.js';

const utf8 = (text) => new TextEncoder().encode(text);

/** What a key makes possible. An open room has none: its token is ''. */
export class Key {
  #viewer;
  #camera;

  /** @returns {Key} of the page's link @throws {TypeError} when it is none */
  static ofLink() {
    return new Key(keyInHash(location.hash));
  }

  /** @param {string} text 22 characters */
  constructor(text) {
    if (!isKey(text)) throw new TypeError('not a key');
    const key = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    // HKDF (RFC 5869) of as many bytes as one hash has
    const extracted = hmac(sha256, utf8('peercam v1'), key);
    const derive = (info) => hmac(sha256, extracted, utf8(`${info}\x01`));
    /** the server may know it */
    this.token = base64url(derive('room token').subarray(0, 16));
    this.#viewer = derive('viewer proof');
    this.#camera = derive('camera proof');
  }

  /**
   * @param {{room: string, session: string, nonce: string, offer: string}} of offer: our description
   * @returns {string} what an offer must carry
   */
  offerProof({ room, session, nonce, offer }) {
    return base64url(hmac(sha256, this.#viewer, utf8(['offer', room, session, nonce, fingerprint(offer)].join('\n'))));
  }

  /**
   * @param {string} [proof] that came with a camera's answer
   * @param {{room: string, session: string, nonce: string, offer: string, answer: string}} of both descriptions
   * @returns {boolean} whether the camera holds the key
   * @throws {Error} the answer has no fingerprint, or no clear one
   */
  isAnswerProof(proof, { room, session, nonce, offer, answer }) {
    const text = ['answer', room, session, nonce, fingerprint(offer), fingerprint(answer)].join('\n');
    return equal(String(proof ?? ''), base64url(hmac(sha256, this.#camera, utf8(text))));
  }
}
