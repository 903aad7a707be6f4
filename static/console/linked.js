/** The line that the page's address names: `#L12` is the line with the number 12. */

import { isGap } from './model.js';

export class LinkedLine {
  #model;
  #view;
  #log;
  /** The number of the line that is still to be shown, or 0. */
  #wanted = 0;

  /**
   * @param {import('./model.js').LogModel} model
   * @param {import('./view.js').LogView} view
   * @param {HTMLElement} log the element that scrolls
   */
  constructor(model, view, log) {
    this.#model = model;
    this.#view = view;
    this.#log = log;
    this.#read();
    addEventListener('hashchange', () => this.#read());
    // Following the same link again changes no address, and still asks for the line.
    addEventListener('click', (event) => {
      const link = event.target instanceof Element ? event.target.closest('a[href^="#L"]') : null;
      if (link instanceof HTMLAnchorElement && link.hash === location.hash) this.#read();
    });
  }

  /** Brings the line into sight as soon as it is here. */
  show() {
    if (!this.#wanted || this.#model.lastSeq < this.#wanted) return;
    const index = this.#model.entries.findIndex((entry) => (isGap(entry) ? entry.to : entry.seq) >= this.#wanted);
    this.#wanted = 0;
    if (index < 0) return;
    this.#log.scrollIntoView({ block: 'nearest' });
    this.#view.reveal(index);
  }

  #read() {
    this.#wanted = Number(/^#L([0-9]{1,9})$/.exec(location.hash)?.[1] ?? 0);
    this.show();
  }
}
