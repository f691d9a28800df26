/** What stands around the picture. */

/** @param {HTMLElement} before which it goes */
export function surround(before) {
  before.insertAdjacentHTML('beforebegin', CHROME);
}

const CHROME = `
<header class="top">
  <a class="glass home" href="/" title="All rooms" aria-label="All rooms"><svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="8.2"/><circle class="iris" cx="12" cy="12" r="3.4"/></svg></a>
  <div class="glass title"><span class="dot"></span><h1 id="name"></h1><span id="room"></span></div>
</header>
<aside id="stats" class="panel glass" aria-label="Statistics" hidden>
  <header><h2>Statistics</h2><button class="tool close" type="button" aria-label="Close the statistics">×</button></header>
  <div class="figures"></div>
</aside>
<aside id="setup" class="panel glass" aria-label="Camera" hidden>
  <header><h2>Camera</h2><button class="tool close" type="button" aria-label="Close the camera’s setup">×</button></header>
  <div class="controls"></div>
</aside>
<footer class="foot"><div id="bar" class="bar glass" role="group" aria-label="Controls"></div></footer>
<dialog id="help" class="glass sheet" aria-labelledby="help-title">
  <form method="dialog">
    <header><h2 id="help-title">Keys</h2><button class="tool close" aria-label="Close">×</button></header>
    <dl class="keys">
      <dt><kbd>m</kbd></dt><dd>Sound on and off</dd>
      <dt><kbd>f</kbd></dt><dd>Full screen, also by a double click</dd>
      <dt><kbd>p</kbd></dt><dd>Picture in picture</dd>
      <dt><kbd>s</kbd></dt><dd>Save this picture</dd>
      <dt><kbd>q</kbd></dt><dd>Which picture to ask for</dd>
      <dt><kbd>i</kbd></dt><dd>Statistics</dd>
      <dt><kbd>c</kbd></dt><dd>Set up the camera, if it allows that</dd>
      <dt><kbd>+</kbd> <kbd>−</kbd> <kbd>←</kbd> <kbd>↑</kbd> …</dt><dd>Zoom and turn a camera that can</dd>
      <dt><kbd>↵</kbd> <kbd>Esc</kbd></dt><dd>Enlarge a camera, back to all</dd>
      <dt><kbd>←</kbd> <kbd>→</kbd></dt><dd>The next camera, where there are several</dd>
      <dt><kbd>?</kbd></dt><dd>This list</dd>
    </dl>
    <p class="small">Picture and sound come straight from the camera, encrypted. The part of the link after # is the key: it never reaches a server, and whoever has it can watch.</p>
  </form>
</dialog>
`;
