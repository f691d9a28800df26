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
