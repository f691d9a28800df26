/** Elements and icons. */

/**
 * Makes an element.
 * @param {string} tag
 * @param {Record<string, any>} [props] properties; `class`, `aria-*`, `role` and `data-*` are attributes
 * @param {...(Node|string|null|undefined)} children
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (/^(aria-|data-)|^(class|role|for)$/.test(name)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((c) => c != null));
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';

/** Drawn in strokes, on a grid of 24, in the colour of the text. */
const ICONS = {
  sound: ['M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z', 'M15.5 9a4.2 4.2 0 0 1 0 6', 'M18 6.5a7.8 7.8 0 0 1 0 11'],
  muted: ['M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z', 'M16 9.5l5 5', 'M21 9.5l-5 5'],
  expand: ['M4 9V5.5A1.5 1.5 0 0 1 5.5 4H9', 'M15 4h3.5A1.5 1.5 0 0 1 20 5.5V9', 'M20 15v3.5a1.5 1.5 0 0 1-1.5 1.5H15', 'M9 20H5.5A1.5 1.5 0 0 1 4 18.5V15'],
  shrink: ['M9 4v3.5A1.5 1.5 0 0 1 7.5 9H4', 'M20 9h-3.5A1.5 1.5 0 0 1 15 7.5V4', 'M15 20v-3.5a1.5 1.5 0 0 1 1.5-1.5H20', 'M4 15h3.5A1.5 1.5 0 0 1 9 16.5V20'],
  pip: ['M11 18.5H5A1.5 1.5 0 0 1 3.5 17V7A1.5 1.5 0 0 1 5 5.5h14A1.5 1.5 0 0 1 20.5 7v4', 'M14 14.5h6.5v4.5H14z'],
  photo: ['M4 9a1.5 1.5 0 0 1 1.5-1.5h2.3L9.3 5h5.4l1.5 2.5h2.3A1.5 1.5 0 0 1 20 9v8.5a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5z', 'M15.3 13a3.3 3.3 0 1 1-6.6 0 3.3 3.3 0 0 1 6.6 0z'],
  chart: ['M4 19.5h16', 'M6.5 16v-4', 'M11 16V5', 'M15.5 16V9', 'M20 16v-2.5'],
  help: ['M9 9.2a3 3 0 1 1 4.6 2.6c-1 .7-1.6 1.2-1.6 2.5', 'M12 17.8v.1'],
  grid: ['M4.5 4.5h6v6h-6z', 'M13.5 4.5h6v6h-6z', 'M4.5 13.5h6v6h-6z', 'M13.5 13.5h6v6h-6z'],
  close: ['M6.5 6.5l11 11', 'M17.5 6.5l-11 11'],
  key: ['M12.3 11.7a4 4 0 1 1-1.5-1.4', 'M11.5 10.5L19 4', 'M16 6.6l2.3 2.6'],
  link: ['M10.5 13.5a4 4 0 0 0 5.7 0l2.6-2.6a4 4 0 0 0-5.7-5.7l-1 1', 'M13.5 10.5a4 4 0 0 0-5.7 0l-2.6 2.6a4 4 0 0 0 5.7 5.7l1-1'],
  stop: ['M8 8h8v8H8z'],
  crowd: ['M12 8a3 3 0 1 1-6 0 3 3 0 0 1 6 0z', 'M3.5 18.5a5.5 5.5 0 0 1 11 0', 'M15.5 5.4a3 3 0 0 1 0 5.2', 'M17.5 13.8a5.5 5.5 0 0 1 3 4.7'],
  warn: ['M12 4.5l8.5 15h-17z', 'M12 10.5v4', 'M12 17v.1'],
  offline: ['M4.5 9.5a11 11 0 0 1 3-2M19.5 9.5a11 11 0 0 0-7.5-3', 'M8 13a6 6 0 0 1 2.5-1.6', 'M12 17.5v.1', 'M5 4.5l14 15'],
  camera: ['M3.5 8A1.5 1.5 0 0 1 5 6.5h8.5A1.5 1.5 0 0 1 15 8v8a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 16z', 'M15 11l5.5-3v8L15 13'],
  check: ['M5 12.5l4.5 4.5L19 7.5'],
  quality: ['M4 8h9.5', 'M18.5 8H20', 'M18.5 8a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z', 'M4 16h1.5', 'M10.5 16H20', 'M10.5 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z'],
  play: ['M8 5.5v13l11-6.5z'],
};

/** @param {keyof ICONS} name @returns {SVGElement} decoration, not read out */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  for (const d of ICONS[name]) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', d);
    svg.append(path);
  }
  return svg;
}
