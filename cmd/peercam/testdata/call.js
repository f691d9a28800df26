// A call from Chromium to Chromium, to compare with: what people use for this
// who have no peercam. Runs in the sender's page and in the viewer's.
const call = {
  /** The sender: noise that drifts, and the barcode of the moment, at 30 frames a second. */
  async offer(bitrate) {
    const [width, height] = [1280, 720];
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d');
    const texture = new OffscreenCanvas(width, height);
    const noise = crypto.getRandomValues(new Uint8Array(65536));
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const grey = 110 + noise[i % noise.length] % 30;
      image.data.set([grey, grey, grey, 255], 4 * i);
    }
    texture.getContext('2d').putImageData(image, 0, 0);
    let n = 0;
    setInterval(() => {
      n++;
      for (const x of [0, width]) for (const y of [0, height]) context.drawImage(texture, x - 2 * n % width, y - n % height);
      const ms = Date.now() % 2 ** 24;
      const bits = Array.from({ length: 24 }, (_, i) => (ms >> (23 - i)) & 1);
      [1, 0, ...bits, bits.reduce((a, b) => a ^ b)].forEach((bit, i) => {
        context.fillStyle = bit ? '#fff' : '#000';
        context.fillRect(32 * i, 0, 32, 32);
      });
    }, 1000 / 30);
    const stream = canvas.captureStream(30);
    const pc = call.pc = new RTCPeerConnection();
    const { sender } = pc.addTransceiver(stream.getVideoTracks()[0], { streams: [stream] });
    pc.getTransceivers()[0].setCodecPreferences(RTCRtpSender.getCapabilities('video').codecs.filter((c) => /VP8|rtx/i.test(c.mimeType)));
    await pc.setLocalDescription();
    const parameters = sender.getParameters();
    parameters.degradationPreference = 'maintain-resolution';
    parameters.encodings[0].maxBitrate = bitrate;
    await sender.setParameters(parameters);
    return call.gathered();
  },

  /** The viewer. */
  async answer(offer) {
    const pc = call.pc = new RTCPeerConnection();
    document.body.innerHTML = '<video autoplay muted playsinline style="width: 100%">';
    pc.ontrack = ({ streams }) => { document.querySelector('video').srcObject = streams[0]; };
    await pc.setRemoteDescription(offer);
    await pc.setLocalDescription();
    return call.gathered();
  },

  accept: (answer) => call.pc.setRemoteDescription(answer),

  async gathered() {
    const { pc } = call;
    while (pc.iceGatheringState !== 'complete') await new Promise((changed) => { pc.onicegatheringstatechange = changed; });
    return pc.localDescription.toJSON();
  },
};
