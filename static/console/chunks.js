/** All lines of the log in chunks, of which those near the visible part are drawn. */

import { CHUNK_ENTRIES, Chunk } from './chunk.js';

/** Drawn this far beyond the visible part, so ordinary scrolling meets lines, not blanks. */
const MARGIN = '800px 0px';
/** Chunks drawn without waiting to hear that they are near: what a large window shows, at the log's start… */
const FIRST_AT_ONCE = 2;
/** …and at its end, where the last one may have but one line yet. */
const NEWEST_AT_ONCE = 3;

export class Chunks {
  /** @type {Chunk[]} */ #all = [];
  /** @type {Map<Element, Chunk>} */ #byElement = new Map();
  #context;
  #observer;

  /**
   * @param {HTMLElement} log the element that scrolls
   * @param {import('./chunk.js').ChunkContext} context
   * @param {() => void} onChange some were drawn or cleared, so the log may have another height
   */
  constructor(log, context, onChange) {
    this.#context = context;
    const near = (/** @type {IntersectionObserverEntry[]} */ changes) => {
      for (const change of changes) this.#moved(change);
      onChange();
    };
    this.#observer = new IntersectionObserver(near, { root: log, rootMargin: MARGIN });
  }

  /**
   * Takes entries that follow the last ones, all of one step.
   * @param {import('./model.js').Entry[]} entries
   * @param {number} first the index of the first of them
   * @param {HTMLElement} body the step's lines
   * @returns {Chunk[]} the chunks that they are in, to be settled
   */
  add(entries, first, body) {
    const touched = [];
    for (let taken = 0; taken < entries.length; ) {
      const chunk = this.#open(first + taken, body);
      const part = entries.slice(taken, taken + CHUNK_ENTRIES - chunk.entries.length);
      chunk.add(part);
      taken += part.length;
      touched.push(chunk);
    }
    return touched;
  }

  /**
   * Gives those that have new entries their lines, or the height of those.
   * @param {Chunk[]} touched
   * @param {boolean} fromEnd whether the reader sees the newest lines rather than the first
   */
  settle(touched, fromEnd) {
    const seen = fromEnd ? this.#all.slice(-NEWEST_AT_ONCE) : this.#all.slice(0, FIRST_AT_ONCE);
    for (const chunk of touched) if (seen.includes(chunk)) chunk.draw();
    // Only now: to know a height may lay the page out, and once is enough.
    for (const chunk of touched) if (!chunk.drawn) chunk.clear();
  }

  /** @param {number} index of an entry */
  at(index) {
    return this.#all.findLast((chunk) => chunk.first <= index);
  }

  /** @param {Node} node @returns {number|undefined} the index of the entry whose row it is in */
  indexOf(node) {
    const element = node instanceof Element ? node : node.parentElement;
    const place = element?.closest('.chunk');
    const chunk = place && this.#byElement.get(place);
    if (!chunk) return undefined;
    const row = element.closest('.line');
    return chunk.first + (row ? [...place.children].indexOf(row) : 0);
  }

  /** @param {number} top in the window @returns {number} the index of the first entry below it */
  firstBelow(top) {
    for (const chunk of this.#all) {
      const box = chunk.element.getBoundingClientRect();
      if (box.bottom <= top || !box.height) continue;
      const row = [...chunk.element.children].findIndex((element) => element.getBoundingClientRect().bottom > top);
      return chunk.first + Math.max(0, row);
    }
    return 0;
  }

  /** What is marked has changed. */
  redraw() {
    for (const chunk of this.#all) chunk.redraw();
  }

  /** Heights that are only expected are other ones now. */
  relayout() {
    for (const chunk of this.#all) if (!chunk.drawn) chunk.clear();
  }

  drawAll() {
    for (const chunk of this.#all) chunk.draw();
  }

  clearFar() {
    for (const chunk of this.#all) if (chunk.drawn && !chunk.near) chunk.clear();
  }

  /**
   * The one that takes the next entry: the last one, unless it is full or another step's.
   * @param {number} first
   * @param {HTMLElement} body
   */
  #open(first, body) {
    const last = this.#all.at(-1);
    if (last && !last.isFull && last.element.parentElement === body) return last;
    const chunk = new Chunk(first, this.#context);
    this.#all.push(chunk);
    this.#byElement.set(chunk.element, chunk);
    body.append(chunk.element);
    this.#observer.observe(chunk.element);
    return chunk;
  }

  /** @param {IntersectionObserverEntry} change */
  #moved(change) {
    const chunk = this.#byElement.get(change.target);
    if (!chunk) return;
    chunk.near = change.isIntersecting;
    if (chunk.near) chunk.draw();
    else if (chunk.drawn && !holdsSelection(chunk.element)) chunk.clear(change.boundingClientRect.height);
  }
}

/** Where a selection begins or ends stays in the page, so that it can be extended. @param {Element} element */
function holdsSelection(element) {
  const selection = document.getSelection();
  return Boolean(selection && (element.contains(selection.anchorNode) || element.contains(selection.focusNode)));
}
