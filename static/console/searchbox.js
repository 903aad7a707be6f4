/** The search field above the log: count, next, previous, and the marks in the lines. */

import { LogSearch } from './search.js';

/** A pause in typing this long starts the search. */
const PAUSE_MS = 120;

export class SearchBox {
  #search;
  #view;
  /** @type {HTMLInputElement} */ #input;
  #count;
  /** @type {HTMLButtonElement[]} */ #buttons;
  /** @type {number|undefined} */ #timer;

  /**
   * @param {HTMLElement} root
   * @param {import('./model.js').LogModel} model
   * @param {import('./view.js').LogView} view
   */
  constructor(root, model, view) {
    this.#search = new LogSearch(model);
    this.#view = view;
    const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (root.querySelector(`#log-search${id}`));
    this.#input = /** @type {HTMLInputElement} */ (find(''));
    this.#count = find('-count');
    const [previous, next] = ['-previous', '-next'].map((id) => /** @type {HTMLButtonElement} */ (find(id)));
    this.#buttons = [previous, next];
    previous.addEventListener('click', () => this.move(-1));
    next.addEventListener('click', () => this.move(1));
    this.#input.addEventListener('input', () => {
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => this.#apply(), PAUSE_MS);
    });
    this.#input.addEventListener('keydown', (event) => this.#pressed(event));
  }

  focus() {
    this.#input.focus();
    this.#input.select();
  }

  /** Counts in what came since. */
  extend() {
    this.#search.extend();
    this.#show();
  }

  /** @param {1|-1} direction */
  move(direction) {
    if (this.#input.value !== this.#search.query) this.#apply();
    const index = this.#search.move(direction, this.#view.firstVisible());
    if (index !== null) this.#view.reveal(index);
    this.#show();
  }

  #apply() {
    clearTimeout(this.#timer);
    this.#search.start(this.#input.value);
    this.#view.mark(this.#input.value);
    this.#show();
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key === 'Enter') {
      event.preventDefault();
      this.move(event.shiftKey ? -1 : 1);
    } else if (event.key === 'Escape') {
      event.preventDefault();
      if (!this.#input.value) return this.#input.blur();
      this.#input.value = '';
      this.#apply();
    }
  }

  #show() {
    const text = this.#search.summary();
    if (this.#count.textContent !== text) this.#count.textContent = text;
    for (const button of this.#buttons) button.disabled = !this.#search.matches.length;
  }
}
