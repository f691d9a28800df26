/** The menu of pictures to choose from, above its button in the bar. */
import { chosen, gist, options } from './choice.js';
import { el } from './dom.js';
import { icon } from './icons.js';

export class PictureMenu {
  #button;
  #onChoose;
  #items = [];
  #options = [];
  #shown = '';
  #gist = el('p', { class: 'gist small' });
  #list = el('div', { role: 'menu', 'aria-label': 'Picture' });

  /**
   * @param {HTMLButtonElement} button that opens it
   * @param {(choice: import('./choice.js').Choice, label: string) => void} onChoose
   */
  constructor(button, onChoose) {
    this.#button = button;
    this.#onChoose = onChoose;
    button.setAttribute('aria-haspopup', 'menu');
    this.node = el('div', { class: 'menu glass', hidden: true, onkeydown: (e) => this.#key(e) }, this.#list, this.#gist);
    addEventListener('pointerdown', (e) => {
      if (this.isOpen && !this.node.contains(e.target) && !button.contains(e.target)) this.toggle(false);
    });
    this.node.addEventListener('focusout', ({ relatedTarget }) => {
      if (relatedTarget && !this.node.contains(relatedTarget) && relatedTarget !== button) this.toggle(false);
    });
  }

  get isOpen() {
    return !this.node.hidden;
  }

  toggle(open = !this.isOpen) {
    this.node.hidden = !open;
    this.#button.setAttribute('aria-expanded', open);
    if (open) this.#items.find((i) => i.getAttribute('aria-checked') === 'true')?.focus();
    else if (this.node.contains(document.activeElement)) this.#button.focus();
  }

  /**
   * @param {import('./choice.js').Size[]} rungs to choose from; none when no camera offers any
   * @param {import('./choice.js').Choice} choice
   * @param {object|null} report of the camera that is looked at, if it is one
   */
  update(rungs, choice, report) {
    this.#button.hidden = !rungs.length;
    if (this.isOpen && !rungs.length) this.toggle(false);
    this.#options = options(rungs);
    const labels = this.#options.map((o) => o.label).join();
    if (labels !== this.#shown) {
      this.#shown = labels;
      this.#build();
    }
    const index = chosen(this.#options, choice);
    this.#items.forEach((item, i) => {
      item.setAttribute('aria-checked', i === index);
      item.tabIndex = i === index ? 0 : -1;
    });
    const line = gist(report);
    if (this.#gist.textContent !== line) this.#gist.textContent = line;
    this.#gist.hidden = !line;
  }

  #build() {
    const hadFocus = this.#list.contains(document.activeElement);
    this.#items = this.#options.map(({ label, about, choice }) => el('button', {
      type: 'button', role: 'menuitemradio', 'aria-checked': false,
      onclick: () => {
        this.#onChoose(choice, label);
        this.toggle(false);
      },
    }, icon('check'), el('span', {}, label), about && el('span', { class: 'small', textContent: about })));
    this.#list.replaceChildren(...this.#items);
    if (hadFocus) this.#items[0].focus();
  }

  #key(e) {
    const last = this.#items.length - 1;
    const at = this.#items.indexOf(document.activeElement);
    const to = { ArrowDown: at < last ? at + 1 : 0, ArrowUp: at > 0 ? at - 1 : last, Home: 0, End: last }[e.key];
    if (to !== undefined) this.#items[to].focus();
    else if (e.key === 'Escape') this.toggle(false);
    else if (e.key === 'Tab') return this.toggle(false);
    else if (!e.key.startsWith('Arrow')) return;
    e.preventDefault(); // the page has keys of its own
  }
}
