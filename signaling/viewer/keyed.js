/** What the page of a room has besides, where a camera is there that wants proofs. */
import { takeProof } from './early.js';
import { Key } from './proof.js';

takeProof({ Key });
