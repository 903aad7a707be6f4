/**
 * A run of entries that is in the page only while it is near the visible part, so a log of any length
 * costs what a screenful costs. Elsewhere it is one empty element of the same height.
 */

import { createRow } from './row.js';

/** Small enough that one is cheap to draw, large enough that a long log has few. */
export const CHUNK_ENTRIES = 50;

/** @typedef {import('./model.js').Entry} Entry */
/** @typedef {{row: import('./row.js').RowOptions, height: (text: string) => number}} ChunkContext */

export class Chunk {
  /** @type {Entry[]} */ entries = [];
  drawn = false;
  /** Whether it is in the visible part or not far from it. */
  near = false;
  element = document.createElement('div');
  #context;

  /**
   * @param {number} first the index of its first entry
   * @param {ChunkContext} context shared by all chunks of a log
   */
  constructor(first, context) {
    this.first = first;
    this.#context = context;
    this.element.className = 'chunk';
  }

  get isFull() {
    return this.entries.length >= CHUNK_ENTRIES;
  }

  /** @param {Entry[]} entries */
  add(entries) {
    this.entries.push(...entries);
    if (this.drawn) this.element.append(...entries.map((entry) => createRow(entry, this.#context.row)));
  }

  draw() {
    if (this.drawn) return;
    this.drawn = true;
    this.element.style.height = '';
    this.redraw();
  }

  /** Again, where what is searched for has changed. */
  redraw() {
    if (this.drawn) this.element.replaceChildren(...this.entries.map((entry) => createRow(entry, this.#context.row)));
  }

  /** @param {number} [height] as it was drawn; without it, or with 0, as it is expected to be */
  clear(height) {
    if (this.drawn) this.element.replaceChildren();
    this.drawn = false;
    this.element.style.height = `${height || this.#expectedHeight()}px`;
  }

  #expectedHeight() {
    return this.entries.reduce((sum, entry) => sum + this.#context.height('text' in entry ? entry.text : ''), 0);
  }

  /** @param {number} index of an entry in the log @returns {Element|undefined} none where it is not drawn */
  rowOf(index) {
    return this.element.children[index - this.first];
  }
}
