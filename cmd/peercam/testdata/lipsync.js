// Measures how far picture and sound of the test source are apart when they
// leave the browser; and leads a connection through a relay that loses packets.
const lipsync = {
  /**
   * Watches and listens for so long.
   * @param {number} duration milliseconds
   * @returns {Promise<{flashes: object[], beeps: number[], latency: number}>} milliseconds since 1970 by the
   *   browser's clock: of each frame with a flash, when it was taken (taken) and is on the screen (shown); of each
   *   beep, when its first sample is at the loudspeaker. latency is what the AudioContext itself adds, seconds.
   */
  async watch(duration) {
    const video = document.querySelector('video');
    const audio = new AudioContext({ sampleRate: 48000, latencyHint: 'interactive' });
    await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([onsets], { type: 'text/javascript' })));
    const source = audio.createMediaStreamSource(new MediaStream(video.srcObject.getAudioTracks()));
    const ear = new AudioWorkletNode(audio, 'onsets');
    const heard = [];
    // Sound and the page's clock are related anew for each beep: they drift apart.
    ear.port.onmessage = ({ data }) => heard.push([data, audio.getOutputTimestamp()]);
    source.connect(ear).connect(audio.destination);
    await audio.resume();

    const flashes = [];
    const end = performance.now() + duration;
    const frame = (now, { expectedDisplayTime }) => {
      const taken = barcode(video);
      if (taken && isFlash(video)) flashes.push({ taken, shown: performance.timeOrigin + expectedDisplayTime });
      if (performance.now() < end) video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
    await probe.pause(duration);
    const beeps = heard.map(([at, { contextTime, performanceTime }]) => performance.timeOrigin + performanceTime + 1000 * (at - contextTime));
    const latency = audio.outputLatency;
    await audio.close();
    return { flashes, beeps, latency };
  },

  /** What is heard in so many seconds: mono, 48 kHz, signed 16 bit little endian, in base64. */
  async record(seconds) {
    const audio = new AudioContext({ sampleRate: 48000 });
    await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([recorder], { type: 'text/javascript' })));
    const source = audio.createMediaStreamSource(new MediaStream(document.querySelector('video').srcObject.getAudioTracks()));
    const tape = new AudioWorkletNode(audio, 'recorder');
    const pcm = new Int16Array(48000 * seconds);
    let have = 0;
    await audio.resume();
    await new Promise((resolve) => {
      tape.port.onmessage = ({ data }) => {
        const rest = data.subarray(0, pcm.length - have);
        pcm.set(rest, have);
        have += rest.length;
        if (have === pcm.length) resolve();
      };
      source.connect(tape).connect(audio.destination);
    });
    await audio.close();
    const bytes = new Uint8Array(pcm.buffer);
    let text = '';
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
  },

  /** How much the browser itself believes sound to be behind the picture, milliseconds. */
  async believed() {
    const [audio, video] = [await probe.inbound('audio'), await probe.inbound('video')];
    return {
      lag: video.estimatedPlayoutTimestamp - audio.estimatedPlayoutTimestamp - (video.timestamp - audio.timestamp),
      audioBuffer: 1000 * audio.jitterBufferDelay / audio.jitterBufferEmittedCount,
      videoBuffer: 1000 * video.jitterBufferDelay / video.jitterBufferEmittedCount,
      concealed: audio.concealedSamples,
    };
  },

  /** @type {string|undefined} where the camera is to be reached, as soon as it says so */
  camera: undefined,
  /** Told where the relay to it listens. @type {(port: number) => void} */
  relay: undefined,
};

// An onset is loud after 300 ms of silence. The context's time of its first sample is posted.
const onsets = `registerProcessor('onsets', class extends AudioWorkletProcessor {
  quiet = 0;
  process([input]) {
    const sound = input[0] ?? [];
    for (let i = 0; i < sound.length; i++) {
      if (Math.abs(sound[i]) < 0.02) {
        this.quiet++;
        continue;
      }
      if (this.quiet > 0.3 * sampleRate) this.port.postMessage((currentFrame + i) / sampleRate);
      this.quiet = 0;
    }
    return true;
  }
})`;

const recorder = `registerProcessor('recorder', class extends AudioWorkletProcessor {
  room = new Int16Array(4800);
  have = 0;
  process([[sound]]) {
    for (const v of sound ?? []) {
      this.room[this.have++] = Math.round(v * 32767);
      if (this.have < this.room.length) continue;
      this.port.postMessage(this.room.slice());
      this.have = 0;
    }
    return true;
  }
})`;

/** The square at the lower right is white for a tenth of a second. */
function isFlash(video) {
  const side = Math.min(0.18 * video.videoHeight, 0.18 * video.videoWidth);
  const margin = 0.04 * video.videoHeight + side / 2;
  return pixels(video, video.videoWidth - margin - 2, video.videoHeight - margin - 2, 4, 4, 1, 1)[1] > 160;
}

if (useRelay) {
  const listening = new Promise((resolve) => { lipsync.relay = resolve; });
  const { addIceCandidate } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.addIceCandidate = async function relayed(candidate) {
    const fields = candidate?.candidate?.split(' ') ?? [];
    if (fields[2]?.toLowerCase() !== 'udp' || fields[4].includes(':')) return undefined;
    lipsync.camera ??= `${fields[4]}:${fields[5]}`;
    [fields[4], fields[5]] = ['127.0.0.1', await listening];
    return addIceCandidate.call(this, { ...candidate, candidate: fields.join(' ') });
  };
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function withoutCandidates(data) {
    const message = JSON.parse(data);
    if (message.type === 'candidate') return;
    if (message.sdp) message.sdp = message.sdp.replace(/^a=candidate.*\r\n/gm, '');
    send.call(this, JSON.stringify(message));
  };
}
window.lipsync = lipsync;
