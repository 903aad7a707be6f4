/** A few words about what the reader just asked for, over the log and to a screen reader, for a moment. */

/** Long enough to read a sentence twice. */
const SHOWN_MS = 5000;

export class Note {
  #element;
  /** @type {number|undefined} */ #timer;

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
  }

  /** @param {string} words */
  say(words) {
    clearTimeout(this.#timer);
    this.#element.textContent = words;
    this.#timer = window.setTimeout(() => this.#element.replaceChildren(), SHOWN_MS);
  }
}
