/** How high a line will be, before it is drawn. */

import { plainText } from './ansi.js';

export class LineMetrics {
  wrap = true;
  #stale = true;
  #columns = Infinity;
  #lineHeight = 20;
  #log;

  /** @param {HTMLElement} log */
  constructor(log) {
    this.#log = log;
  }

  /** After a resize or a changed setting. */
  forget() {
    this.#stale = true;
  }

  /** A line as the log draws it now. Lays the page out, so it waits until a height is asked for. */
  #measure() {
    this.#stale = false;
    const probe = document.createElement('div');
    probe.className = 'line probe';
    const at = document.createElement('time');
    at.className = 'at';
    at.textContent = '00:00:00';
    const text = document.createElement('span');
    text.className = 'text';
    const sample = document.createElement('span');
    sample.textContent = '0'.repeat(20);
    text.append(sample);
    probe.append(at, text);
    this.#log.append(probe);
    this.#lineHeight = probe.offsetHeight || 20;
    const character = sample.getBoundingClientRect().width / 20;
    const style = getComputedStyle(text);
    const room = text.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    this.#columns = character > 0 && room > 0 ? Math.max(1, Math.floor(room / character)) : Infinity;
    probe.remove();
  }

  /** @param {string} text @returns {number} pixels */
  height(text) {
    if (this.#stale) this.#measure();
    if (!this.wrap || text.length <= this.#columns) return this.#lineHeight;
    return Math.ceil(plainText(text).length / this.#columns) * this.#lineHeight || this.#lineHeight;
  }
}
