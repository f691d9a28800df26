/**
 * The link's key at work: what it says to the server (the room token) and to the camera
 * (the proofs). PROTOCOL.md, "The key". No crypto.subtle: on plain http it is absent.
 * An open room needs none of this, so it is loaded for a key only.
 */
import { base64url } from './id.js';
import { isKey } from './key.js';
import { hkdf, hmac, sha256 } from './vendor/noble/hashes.js';

const utf8 = (text) => new TextEncoder().encode(text);

/** What a key makes possible. An open room has none: its token is ''. */
export class Key {
  #viewer;
  #camera;

  /** @param {string} text 22 characters */
  constructor(text) {
    if (!isKey(text)) throw new TypeError('not a key');
    const key = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    const derive = (info) => hkdf(sha256, key, utf8('peercam v1'), utf8(info), 32);
    /** the server may know it */
    this.token = base64url(derive('room token').subarray(0, 16));
    this.#viewer = derive('viewer proof');
    this.#camera = derive('camera proof');
  }

  /**
   * @param {{room: string, session: string, nonce: string, viewer: string}} of viewer: our fingerprint
   * @returns {string} what an offer must carry
   */
  offerProof({ room, session, nonce, viewer }) {
    return base64url(hmac(sha256, this.#viewer, utf8(['offer', room, session, nonce, viewer].join('\n'))));
  }

  /**
   * @param {{room: string, session: string, nonce: string, viewer: string, camera: string}} of both fingerprints
   * @returns {string} what the camera's answer must carry
   */
  answerProof({ room, session, nonce, viewer, camera }) {
    return base64url(hmac(sha256, this.#camera, utf8(['answer', room, session, nonce, viewer, camera].join('\n'))));
  }
}
