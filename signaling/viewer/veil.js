/** What lies over a picture, or in its place, while there is something to say. */
import { el } from './dom.js';
import { icon } from './icons.js';

const ACTIONS = { retry: 'Try again', reload: 'Load again', remembered: 'Use the key this browser remembers' };

export class Veil {
  #shown = '';
  #act;

  /** @param {{act: (action: string) => void, can?: (action: string) => boolean}} options */
  constructor({ act, can = () => true }) {
    this.#act = act;
    this.can = can;
    this.node = el('div', { class: 'veil', hidden: true });
  }

  /** @param {import('./words.js').Words|null} words null takes it away */
  show(words) {
    const key = JSON.stringify(words);
    if (key === this.#shown) return;
    this.#shown = key;
    this.node.hidden = !words;
    if (!words) return;
    const { title, why, then, action, busy } = words;
    const focused = this.node.contains(document.activeElement);
    this.node.replaceChildren(
      el('div', { class: busy ? 'lens busy' : 'lens' }, icon(words.icon)),
      el('h2', { textContent: title }),
      ...[why, then].filter(Boolean).map((text, i) => el('p', { textContent: text, class: i ? 'then' : 'why' })),
    );
    if (!action || !this.can(action)) return;
    const button = el('button', { class: 'button', type: 'button', textContent: ACTIONS[action], onclick: () => this.#act(action) });
    this.node.append(button);
    if (focused) button.focus();
  }
}
