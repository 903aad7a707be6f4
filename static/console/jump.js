/** Counts what came while the reader looked elsewhere, and leads back to the end. */

import { count } from '../format.js';

/** As near as this the reader's own scrolling is enough, where nothing is new. */
const NEAR = '0px 0px 100% 0px';

export class JumpButton {
  #button;
  #label;
  #model;
  #counts;
  #following;
  #near = true;
  #seen = 0;

  /**
   * @param {HTMLElement} root the console
   * @param {import('./model.js').LogModel} model
   * @param {import('./view.js').LogView} view
   * @param {boolean} counts whether lines that come are new; those of a finished log are not
   */
  constructor(root, model, view, counts) {
    this.#button = /** @type {HTMLElement} */ (root.querySelector('#log-jump'));
    this.#label = /** @type {HTMLElement} */ (root.querySelector('#log-jump-label'));
    this.#model = model;
    this.#following = view.follower.following;
    this.#counts = counts;
    this.#button.addEventListener('click', () => view.toEnd());
    // Told by the browser: to measure it after each batch of lines would lay the whole log out each time.
    new IntersectionObserver((changes) => {
      this.#near = changes[changes.length - 1].isIntersecting;
      this.show();
    }, { root: view.end.parentElement, rootMargin: NEAR }).observe(view.end);
  }

  /** @param {boolean} following */
  followed(following) {
    this.#following = following;
    this.#seen = this.#model.lineCount;
    this.show();
  }

  show() {
    const fresh = this.#counts ? this.#model.lineCount - this.#seen : 0;
    this.#button.hidden = this.#following || (fresh === 0 && this.#near);
    this.#button.toggleAttribute('data-fresh', fresh > 0);
    const words = fresh ? `${count(fresh, 'new line')} · Jump to end` : 'Jump to end';
    if (this.#label.textContent !== words) this.#label.textContent = words;
  }
}
