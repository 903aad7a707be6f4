/** The lines that the page's address names: `#L12`, or `#L120-L140`. They are marked, and brought into sight. */

import { grouped } from '../format.js';
import { isGap } from './model.js';

const ADDRESS = /^#L([0-9]{1,9})(?:-L?([0-9]{1,9}))?$/;

/** @typedef {{from: number, to: number}} LineRange numbers of lines, both included */

export class LinkedLines {
  #model;
  #view;
  #log;
  #note;
  /** Whether they are still to be brought into sight. */
  #due = false;
  /** @type {LineRange|null} */ range = null;

  /**
   * @param {import('./model.js').LogModel} model
   * @param {import('./view.js').LogView} view
   * @param {HTMLElement} log the element that scrolls
   * @param {import('./note.js').Note} note
   */
  constructor(model, view, log, note) {
    this.#model = model;
    this.#view = view;
    this.#log = log;
    this.#note = note;
    this.#read();
    addEventListener('hashchange', () => this.#read());
    addEventListener('click', (event) => this.#clicked(event));
  }

  /** Brings the first of them into sight as soon as it is here. */
  show() {
    if (!this.#due || !this.range) return;
    const { from } = this.range;
    const { lastSeq } = this.#model;
    if (lastSeq < from) {
      if (!this.#view.isWhole) return;
      this.#due = false;
      this.#note.say(`There is no line ${grouped(from)}: the log ends with line ${grouped(lastSeq)}.`);
      return;
    }
    const index = this.#model.entries.findIndex((entry) => (isGap(entry) ? entry.to : entry.seq) >= from);
    this.#due = false;
    if (index < 0) return;
    this.#log.scrollIntoView({ block: 'nearest' });
    this.#view.reveal(index);
  }

  /** Leads to a line where the address names none. @param {number} seq */
  suggest(seq) {
    if (this.range) return;
    this.#set({ from: seq, to: seq }, true);
  }

  #read() {
    const match = ADDRESS.exec(location.hash);
    if (!match) return;
    const [first, second] = [Number(match[1]), Number(match[2] ?? match[1])];
    this.#set({ from: Math.min(first, second), to: Math.max(first, second) }, true);
  }

  /** @param {LineRange} range @param {boolean} reveal */
  #set(range, reveal) {
    this.range = range;
    this.#due = reveal;
    this.#view.markLinked(range);
    this.show();
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const link = event.target instanceof Element ? event.target.closest('a[href^="#L"]') : null;
    if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey) return;
    if (!link.classList.contains('nr')) {
      // Following the same link again changes no address, and still asks for the line.
      if (link.hash === location.hash) this.#read();
      return;
    }
    // What was clicked is in sight, so nothing may move under the pointer.
    event.preventDefault();
    const seq = Number(link.hash.slice(2));
    const anchor = event.shiftKey && this.range ? this.range.from : seq;
    const range = { from: Math.min(anchor, seq), to: Math.max(anchor, seq) };
    history.replaceState(null, '', range.from === range.to ? `#L${seq}` : `#L${range.from}-L${range.to}`);
    this.#set(range, false);
  }
}
