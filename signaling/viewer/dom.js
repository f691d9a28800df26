/** Elements, and what is drawn. */

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
export const CAMERA = ['M3.5 8A1.5 1.5 0 0 1 5 6.5h8.5A1.5 1.5 0 0 1 15 8v8a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 16z', 'M15 11l5.5-3v8L15 13'];
export const PLAY = ['M8 5.5v13l11-6.5z'];

/** @param {string[]} paths as above, or of icons.js @returns {SVGElement} decoration, not read out */
export function draw(paths) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  for (const d of paths) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', d);
    svg.append(path);
  }
  return svg;
}
