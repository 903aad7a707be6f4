/** Counts what came while the reader looked elsewhere, and leads back to the end. */

import { count } from '../format.js';

export class JumpButton {
  #button;
  #label;
  #model;
  #counts;
  #following = false;
  #seen = 0;

  /**
   * @param {HTMLElement} button
   * @param {HTMLElement} label
   * @param {import('./model.js').LogModel} model
   * @param {boolean} counts whether lines that come are new; those of a finished log are not
   */
  constructor(button, label, model, counts) {
    this.#button = button;
    this.#label = label;
    this.#model = model;
    this.#counts = counts;
  }

  /** @param {boolean} following */
  followed(following) {
    this.#following = following;
    this.#seen = this.#model.lineCount;
    this.show(0);
  }

  /** @param {number} screens how far away the end is */
  show(screens) {
    const fresh = this.#counts ? this.#model.lineCount - this.#seen : 0;
    // Where the end is near and nothing is new, the reader's own scrolling is enough.
    this.#button.hidden = this.#following || (fresh === 0 && screens < 1);
    this.#button.toggleAttribute('data-fresh', fresh > 0);
    const words = fresh ? `${count(fresh, 'new line')} · Jump to end` : 'Jump to end';
    if (this.#label.textContent !== words) this.#label.textContent = words;
  }
}
