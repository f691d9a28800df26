/**
 * What takes longest is begun first: this module runs as soon as it and peer.js
 * are there, while the rest of the page still loads.
 */
import { Peer } from './peer.js';
import { openSocket } from './socket.js';

let socket = 'WebSocket' in window ? openSocket() : undefined;
let peer = 'RTCPeerConnection' in window ? new Peer() : undefined;

/** @returns {WebSocket|undefined} the socket, to whoever asks first */
export function takeSocket() {
  const taken = socket;
  socket = undefined;
  return taken;
}

/** @returns {Peer|undefined} the peer, to whoever asks first */
export function takePeer() {
  const taken = peer;
  peer = undefined;
  return taken;
}
