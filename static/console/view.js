/** The log in the page: steps, lines near the visible part, and where the reader is. */

import { CHUNK_ENTRIES, Chunk } from './chunk.js';
import { LineMetrics } from './metrics.js';
import { Follower } from './scroll.js';
import { StepSection } from './step.js';

/** Drawn this far beyond the visible part, so ordinary scrolling meets lines, not blanks. */
const MARGIN = '800px 0px';
/** The newest chunks are drawn at once, for a reader who follows the end. */
const NEWEST_DRAWN = 3;

/**
 * @typedef {object} ViewOptions
 * @property {HTMLElement} log the element that scrolls
 * @property {import('./model.js').LogModel} model
 * @property {string} logUrl
 * @property {(following: boolean) => void} onFollow
 */

export class LogView {
  /** Entries shown so far; those of the model after them come with the next `sync`. */
  shown = 0;
  #log;
  #model;
  /** @type {Chunk[]} */ #chunks = [];
  /** @type {StepSection[]} */ #sections = [];
  #stepsShown = 0;
  /** @type {Map<Element, Chunk>} */ #byElement = new Map();
  /** @type {Element|null} */ #current = null;
  #metrics;
  #context;
  #observer;

  /** @param {ViewOptions} options */
  constructor({ log, model, logUrl, onFollow }) {
    this.#log = log;
    this.#model = model;
    this.follower = new Follower(log, onFollow);
    this.#metrics = new LineMetrics(log);
    this.#context = { row: { query: '', logUrl, linked: null }, height: (/** @type {string} */ text) => this.#metrics.height(text) };
    this.#observer = new IntersectionObserver((changes) => this.#nearChanged(changes), { root: log, rootMargin: MARGIN });
    let width = 0;
    new ResizeObserver(() => {
      if (log.clientWidth !== width) this.relayout();
      width = log.clientWidth;
      this.follower.keep();
    }).observe(log);
  }

  /** Takes over what the model has gained: at most once a frame. */
  sync() {
    const { entries, steps } = this.#model;
    if (this.shown === entries.length) return;
    /** @type {Set<Chunk>} */
    const touched = new Set();
    while (this.shown < entries.length) {
      if (this.#stepsShown < steps.length && steps[this.#stepsShown].first <= this.shown) this.#addStep(steps[this.#stepsShown]);
      const end = steps[this.#stepsShown]?.first ?? entries.length;
      const chunk = this.#openChunk();
      const room = CHUNK_ENTRIES - chunk.entries.length;
      const part = entries.slice(this.shown, Math.min(end, this.shown + room));
      chunk.add(part);
      this.shown += part.length;
      touched.add(chunk);
    }
    const newest = new Set(this.follower.following ? this.#chunks.slice(-NEWEST_DRAWN) : []);
    for (const chunk of touched) {
      if (newest.has(chunk)) chunk.draw();
      else if (!chunk.drawn) chunk.clear();
    }
    this.tick();
    this.follower.keep();
  }

  /** Moves running durations on. */
  tick() {
    const now = Date.now() + this.#model.clockBehindMs;
    for (const section of this.#sections) section.update(now);
  }

  /** @param {string} query marked wherever it is */
  mark(query) {
    this.#context.row.query = query;
    this.#redraw();
  }

  /** @param {import('./linked.js').LineRange} range lines that the page's address names */
  markLinked(range) {
    this.#context.row.linked = range;
    this.#redraw();
  }

  /** Steps that succeeded are done with, but for those that the reader has folded or opened. */
  foldDone() {
    const steps = this.#sections.filter((section) => section.outcome);
    if (steps.length < 2) return;
    for (const section of steps) if (section.outcome === 'done' && !section.touched) section.fold(true);
    this.follower.keep();
  }

  #redraw() {
    for (const chunk of this.#chunks) chunk.redraw();
    this.#current = null;
  }

  /** @param {boolean} wrap @param {boolean} times */
  setLayout(wrap, times) {
    const anchor = this.firstVisible();
    this.#log.classList.toggle('wraps', wrap);
    this.#log.classList.toggle('shows-times', times);
    this.#metrics.wrap = wrap;
    this.relayout();
    if (this.follower.following) this.follower.keep();
    else if (anchor > 0) this.reveal(anchor, { mark: false, block: 'start' });
  }

  /** Every height that is only expected is worked out anew. */
  relayout() {
    this.#metrics.measure();
    for (const chunk of this.#chunks) if (!chunk.drawn) chunk.clear();
  }

  /**
   * Brings an entry into sight.
   * @param {number} index
   * @param {{mark?: boolean, block?: 'start'|'center'}} [options]
   */
  reveal(index, { mark = true, block = 'center' } = {}) {
    const chunk = this.#chunkOf(index);
    if (!chunk) return;
    this.follower.set(false);
    this.#sections.find((section) => section.body.contains(chunk.element))?.fold(false);
    chunk.draw();
    const row = chunk.rowOf(index);
    if (!row) return;
    this.#scrollTo(row, block);
    if (mark) this.#setCurrent(row);
    // Chunks above may turn out higher or lower than expected once they are drawn.
    requestAnimationFrame(() => requestAnimationFrame(() => row.isConnected && this.#scrollTo(row, block)));
  }

  /** @param {1|-1} direction to the next or the previous step's header */
  moveStep(direction) {
    const top = this.#log.scrollTop;
    const offsets = this.#sections.filter((s) => s.button.isConnected).map((s) => s.element.offsetTop);
    const target = direction === 1 ? offsets.find((at) => at > top + 1) : offsets.findLast((at) => at < top - 1);
    if (target === undefined) return;
    this.follower.set(false);
    this.#log.scrollTop = target;
  }

  toStart() {
    this.follower.set(false);
    this.#log.scrollTop = 0;
  }

  /** @returns {number} the index of the first entry in sight */
  firstVisible() {
    const top = this.#log.getBoundingClientRect().top + this.#headHeight();
    for (const chunk of this.#chunks) {
      const box = chunk.element.getBoundingClientRect();
      if (box.bottom <= top || !box.height) continue;
      const rows = [...chunk.element.children];
      const row = rows.findIndex((element) => element.getBoundingClientRect().bottom > top);
      return chunk.first + Math.max(0, row);
    }
    return 0;
  }

  /** @param {IntersectionObserverEntry[]} changes */
  #nearChanged(changes) {
    const last = this.#chunks.at(-1);
    for (const change of changes) {
      const chunk = this.#byElement.get(change.target);
      if (!chunk) continue;
      if (change.isIntersecting) chunk.draw();
      // A folded step has no height to keep; selected text stays where it is.
      else if (chunk.drawn && chunk !== last && change.boundingClientRect.height > 0 && !holdsSelection(chunk.element)) {
        chunk.clear(change.boundingClientRect.height);
      }
    }
    this.follower.keep();
  }

  /** @param {import('./model.js').Step|null} step */
  #addStep(step) {
    const section = new StepSection(step, `log-step-${this.#sections.length}`);
    this.#sections.push(section);
    if (step) this.#stepsShown += 1;
    this.#log.append(section.element);
  }

  /** The chunk that takes the next entry: the last one, unless it is full or another step's. */
  #openChunk() {
    if (!this.#sections.length) this.#addStep(null);
    const body = this.#sections[this.#sections.length - 1].body;
    const last = this.#chunks.at(-1);
    if (last && !last.isFull && last.element.parentElement === body) return last;
    const chunk = new Chunk(this.shown, this.#context);
    this.#chunks.push(chunk);
    this.#byElement.set(chunk.element, chunk);
    body.append(chunk.element);
    this.#observer.observe(chunk.element);
    return chunk;
  }

  /** @param {number} index */
  #chunkOf(index) {
    return this.#chunks.findLast((chunk) => chunk.first <= index);
  }

  /** @param {Element} row */
  #setCurrent(row) {
    this.#current?.classList.remove('current');
    row.classList.add('current');
    this.#current = row;
  }

  /** @param {Element} row @param {'start'|'center'} block */
  #scrollTo(row, block) {
    const log = this.#log.getBoundingClientRect();
    const box = row.getBoundingClientRect();
    const head = this.#headHeight();
    const space = block === 'center' ? Math.max(head, (log.height - box.height) / 2) : head;
    this.#log.scrollTop += box.top - log.top - space;
  }

  /** The sticky header hides this much of the top. */
  #headHeight() {
    return this.#log.querySelector('.step-head')?.getBoundingClientRect().height ?? 0;
  }
}

/** @param {Element} element */
function holdsSelection(element) {
  const selection = document.getSelection();
  return Boolean(selection && !selection.isCollapsed && selection.containsNode(element, true));
}
