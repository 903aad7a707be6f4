/** The log in the page: steps, lines near the visible part, and where the reader is. */

import { CHUNK_ENTRIES, Chunk } from './chunk.js';
import { LineMetrics } from './metrics.js';
import { Follower } from './scroll.js';
import { StepSection } from './step.js';

/** Drawn this far beyond the visible part, so ordinary scrolling meets lines, not blanks. */
const MARGIN = '800px 0px';
/** Chunks drawn without waiting to hear that they are near: more than a large window shows. */
const AT_ONCE = 3;
/** The first number that the ordinary column has no room for. */
const LONG_NUMBER = 1_000_000;
/** A log up to this long is printed as a whole, some forty pages; of a longer one what is near the screen. */
const PRINTED_MAX = 2000;

/**
 * @typedef {object} ViewOptions
 * @property {HTMLElement} log the element that scrolls
 * @property {import('./model.js').LogModel} model
 * @property {string} logUrl
 * @property {boolean} finished whether the deployment had ended when the page was opened
 * @property {boolean} follows
 * @property {(following: boolean) => void} onFollow
 */

export class LogView {
  /** Entries shown so far; those of the model after them come with the next `sync`. */
  shown = 0;
  /** Stands after the last line. */
  end = document.createElement('div');
  #log;
  #model;
  /** @type {Chunk[]} */ #chunks = [];
  /** @type {StepSection[]} */ #sections = [];
  #stepsShown = 0;
  /** @type {Map<Element, Chunk>} */ #byElement = new Map();
  /** Whether the deployment has ended, so that steps which succeeded are done with. */
  #finished;
  /** Whether all of the log is here. */
  isWhole = false;
  #metrics;
  #context;
  #observer;

  /** @param {ViewOptions} options */
  constructor({ log, model, logUrl, finished, follows, onFollow }) {
    this.#log = log;
    this.#model = model;
    this.#finished = finished;
    this.follower = new Follower(log, follows, onFollow);
    if (finished) this.follower.rest();
    this.#metrics = new LineMetrics(log);
    this.#context = {
      row: { query: '', logUrl, linked: null, current: null },
      height: (/** @type {string} */ text) => this.#metrics.height(text),
    };
    this.end.className = 'log-end';
    log.append(this.end);
    this.#observer = new IntersectionObserver((changes) => this.#nearChanged(changes), { root: log, rootMargin: MARGIN });
    let width = 0;
    new ResizeObserver(() => {
      if (log.clientWidth !== width) this.relayout();
      width = log.clientWidth;
      this.follower.keep();
    }).observe(log);
    addEventListener('beforeprint', () => this.#drawAll());
    addEventListener('afterprint', () => this.#clearFar());
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
    const atOnce = new Set(this.follower.keeping ? this.#chunks.slice(-AT_ONCE) : this.#chunks.slice(0, AT_ONCE));
    for (const chunk of touched) {
      if (atOnce.has(chunk)) chunk.draw();
      else if (!chunk.drawn) chunk.clear();
    }
    this.#log.classList.toggle('long-numbers', this.#model.lastSeq >= LONG_NUMBER);
    this.tick();
    if (this.#finished) this.#foldDone();
    this.follower.keep();
  }

  /** The log is whole. */
  finish() {
    this.sync();
    this.#finished = this.isWhole = true;
    this.tick();
    this.#foldDone();
    this.follower.release();
  }

  /** Moves running durations on. */
  tick() {
    // Of a finished log that is still read in, nobody knows yet when the last step ended.
    const now = this.#finished && !this.isWhole ? null : Date.now() + this.#model.clockBehindMs;
    for (const section of this.#sections) section.update(now);
  }

  /** @param {string} query marked wherever it is */
  mark(query) {
    this.#context.row.query = query;
    this.#context.row.current = null;
    this.#redraw();
  }

  /** @param {import('./linked.js').LineRange} range lines that the page's address names */
  markLinked(range) {
    this.#context.row.linked = range;
    this.#redraw();
  }

  /** @param {boolean} wrap @param {boolean} times */
  setLayout(wrap, times) {
    const anchor = this.firstVisible();
    this.#log.classList.toggle('wraps', wrap);
    this.#log.classList.toggle('shows-times', times);
    this.#metrics.wrap = wrap;
    this.relayout();
    if (!this.shown) return;
    if (this.follower.following) this.follower.keep();
    else if (anchor > 0) this.reveal(anchor, { mark: false, block: 'start' });
  }

  /** Changes the log's height and stays at its end, where that was in sight. @param {() => void} change */
  resize(change) {
    const { atEnd } = this.follower;
    change();
    if (atEnd) this.follower.scrollTo(this.#log.scrollHeight);
  }

  /** Every height that is only expected is worked out anew. */
  relayout() {
    this.#metrics.forget();
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
    this.#sections.find((section) => section.body.contains(chunk.element))?.open();
    if (mark) this.#setCurrent(index);
    chunk.draw();
    const scroll = () => {
      const row = chunk.rowOf(index);
      if (row) this.#scrollTo(row, block);
    };
    scroll();
    // Chunks above may turn out higher or lower than expected once they are drawn.
    requestAnimationFrame(() => requestAnimationFrame(scroll));
  }

  /** @param {1|-1} direction to the next or the previous step's header */
  moveStep(direction) {
    const top = this.#log.scrollTop;
    const offsets = this.#sections.filter((s) => s.button.isConnected).map((s) => s.element.offsetTop);
    const target = direction === 1 ? offsets.find((at) => at > top + 1) : offsets.findLast((at) => at < top - 1);
    if (target === undefined) return;
    this.follower.set(false);
    this.follower.scrollTo(target);
  }

  toStart() {
    this.follower.set(false);
    this.follower.scrollTo(0);
  }

  toEnd() {
    this.follower.set(true);
    this.#log.focus({ preventScroll: true });
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

  /** @returns {number} the index of the first entry in sight */
  firstVisible() {
    if (!this.shown) return 0;
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

  /** But for those that the reader has folded or opened. */
  #foldDone() {
    const steps = this.#sections.filter((section) => section.outcome);
    if (steps.length < 2) return;
    for (const section of steps) if (section.outcome === 'done' && !section.touched) section.fold(true);
  }

  #redraw() {
    for (const chunk of this.#chunks) chunk.redraw();
  }

  /** @param {IntersectionObserverEntry[]} changes */
  #nearChanged(changes) {
    for (const change of changes) {
      const chunk = this.#byElement.get(change.target);
      if (!chunk) continue;
      chunk.near = change.isIntersecting;
      if (chunk.near) chunk.draw();
      else if (chunk.drawn && !holdsSelection(chunk.element)) chunk.clear(change.boundingClientRect.height);
    }
    this.follower.keep();
  }

  #drawAll() {
    this.#log.classList.toggle('prints-part', this.shown > PRINTED_MAX);
    if (this.shown <= PRINTED_MAX) for (const chunk of this.#chunks) chunk.draw();
  }

  #clearFar() {
    for (const chunk of this.#chunks) if (chunk.drawn && !chunk.near) chunk.clear();
  }

  /** @param {import('./model.js').Step|null} step */
  #addStep(step) {
    const section = new StepSection(step, `log-step-${this.#sections.length}`);
    this.#sections.push(section);
    if (step) this.#stepsShown += 1;
    this.end.before(section.element);
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

  /** @param {number} index */
  #setCurrent(index) {
    this.#log.querySelector('.line.current')?.classList.remove('current');
    this.#context.row.current = this.#model.entries[index];
    this.#chunkOf(index)?.rowOf(index)?.classList.add('current');
  }

  /** @param {Element} row @param {'start'|'center'} block */
  #scrollTo(row, block) {
    const log = this.#log.getBoundingClientRect();
    const box = row.getBoundingClientRect();
    const head = this.#headHeight();
    const space = block === 'center' ? Math.max(head, (log.height - box.height) / 2) : head;
    this.follower.scrollTo(this.#log.scrollTop + box.top - log.top - space);
    // Where lines are not wrapped, what was searched for may be far to the right.
    const mark = row.querySelector('mark')?.getBoundingClientRect();
    if (mark && (mark.right > log.right || mark.left < log.left)) this.#log.scrollLeft += mark.left - log.left - log.width / 2;
  }

  /** The sticky header hides this much of the top. */
  #headHeight() {
    return this.#log.querySelector('.step-head')?.getBoundingClientRect().height ?? 0;
  }
}

/** Where a selection begins or ends stays in the page, so that it can be extended. @param {Element} element */
function holdsSelection(element) {
  const selection = document.getSelection();
  return Boolean(selection && (element.contains(selection.anchorNode) || element.contains(selection.focusNode)));
}
