// A WHEP player (draft-ietf-wish-whep).
class Player {
  trickled = 0;
  #found = [];

  constructor(url, token) {
    this.url = url;
    this.token = token;
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.pc.addTransceiver('video', { direction: 'recvonly' });
    this.pc.addTransceiver('audio', { direction: 'recvonly' });
    this.pc.ontrack = ({ track }) => {
      if (track.kind === 'video') document.body.append(Object.assign(document.createElement('video'), { srcObject: new MediaStream([track]), autoplay: true, muted: true }));
    };
    this.pc.onicecandidate = ({ candidate }) => {
      if (!candidate) return;
      if (this.location) this.#trickle([candidate]);
      else this.#found.push(candidate);
    };
  }

  #fetch(url, method, type, body, match) {
    const headers = { Authorization: `Bearer ${this.token}`, 'Content-Type': type };
    if (match) headers['If-Match'] = match;
    return fetch(url, { method, headers, body });
  }

  async play() {
    const offer = await this.pc.createOffer(); // without candidates
    await this.pc.setLocalDescription(offer);
    const answer = await this.#fetch(this.url, 'POST', 'application/sdp', offer.sdp);
    if (answer.status !== 201) throw new Error(await answer.text());
    this.location = new URL(answer.headers.get('Location'), this.url);
    this.etag = answer.headers.get('ETag');
    await this.pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    if (this.#found.length) await this.#trickle(this.#found.splice(0));
  }

  #fragment(sdp, candidates) {
    const line = (name) => new RegExp(`^a=${name}:.*$`, 'm').exec(sdp)[0].trim();
    const lines = [line('ice-ufrag'), line('ice-pwd'), 'm=video 9 UDP/TLS/RTP/SAVPF 0', line('mid')];
    return [...lines, ...candidates.map((c) => `a=${c.candidate}`), ''].join('\r\n');
  }

  async #trickle(candidates) {
    const fragment = this.#fragment(this.pc.localDescription.sdp, candidates);
    const { status } = await this.#fetch(this.location, 'PATCH', 'application/trickle-ice-sdpfrag', fragment, this.etag);
    if (status === 204) this.trickled += candidates.length;
  }

  async restart() {
    const remote = this.pc.remoteDescription.sdp;
    const offer = await this.pc.createOffer({ iceRestart: true });
    const answer = await this.#fetch(this.location, 'PATCH', 'application/trickle-ice-sdpfrag', this.#fragment(offer.sdp, []), '*');
    if (answer.status !== 200) return answer.status;
    this.etag = answer.headers.get('ETag');
    const fragment = await answer.text();
    const value = (name) => new RegExp(`^a=${name}:(.*)$`, 'm').exec(fragment)[1].trim();
    this.ufrag = value('ice-ufrag');
    await this.pc.setLocalDescription(offer);
    const candidates = fragment.match(/^a=candidate:.*\r\n/gm).join('');
    await this.pc.setRemoteDescription({
      type: 'answer',
      sdp: remote.replace(/^a=(candidate:.*|end-of-candidates)\r\n/gm, '')
        .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${this.ufrag}`).replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${value('ice-pwd')}`)
        .replace(/^(a=mid:0\r\n)/m, `$1${candidates}`),
    });
    return 200;
  }

  /** Whether the chosen pair is of the camera's ICE session of that name. */
  async carriedBy(ufrag) {
    const all = await this.pc.getStats();
    const transport = [...all.values()].find((r) => r.type === 'transport');
    const pair = all.get(transport?.selectedCandidatePairId);
    return all.get(pair?.remoteCandidateId)?.usernameFragment === ufrag;
  }

  async stop() {
    const { status } = await this.#fetch(this.location, 'DELETE', 'application/sdp');
    this.pc.close();
    return status;
  }
}
