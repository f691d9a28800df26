/**
 * Saves what the video shows, at its full size.
 * @param {HTMLVideoElement} video
 * @param {string} room
 * @param {Date} at
 * @returns {Promise<string>} the file's name
 */
export async function snapshot(video, room, at) {
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d').drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
  if (!blob) throw new Error('the browser could not write the picture');
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = fileName(room, at);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return link.download;
}

/** @param {string} room @param {Date} at @returns {string} like kitchen-2031-05-09-17-04-59.png, in local time */
export function fileName(room, at) {
  const parts = [at.getFullYear(), at.getMonth() + 1, at.getDate(), at.getHours(), at.getMinutes(), at.getSeconds()];
  return `${room}-${parts.map((n) => String(n).padStart(2, '0')).join('-')}.png`;
}
