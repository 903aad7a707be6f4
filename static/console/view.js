/** The log in the page: steps, lines near the visible part, and where the reader is. */

import { Chunks } from './chunks.js';
import { LineMetrics } from './metrics.js';
import { Follower } from './scroll.js';
import { StepSection } from './step.js';

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
  /** @type {StepSection[]} */ #sections = [];
  #stepsShown = 0;
  #chunks;
  /** Whether the deployment has ended, so that steps which succeeded are done with. */
  #finished;
  /** Whether all of the log is here. */
  isWhole = false;
  #metrics;
  #row;

  /** @param {ViewOptions} options */
  constructor({ log, model, logUrl, finished, follows, onFollow }) {
    this.#log = log;
    this.#model = model;
    this.#finished = finished;
    this.follower = new Follower(log, follows, onFollow);
    if (finished) this.follower.rest();
    this.#metrics = new LineMetrics(log);
    /** @type {import('./row.js').RowOptions} */
    this.#row = { query: '', logUrl, linked: null, current: null };
    const height = (/** @type {string} */ text) => this.#metrics.height(text);
    this.#chunks = new Chunks(log, { row: this.#row, height }, () => this.follower.keep());
    this.end.className = 'log-end';
    log.append(this.end);
    let width = 0;
    new ResizeObserver(() => {
      if (log.clientWidth !== width) this.relayout();
      width = log.clientWidth;
      this.follower.keep();
    }).observe(log);
    addEventListener('beforeprint', () => this.#prepareToPrint());
    addEventListener('afterprint', () => this.#chunks.clearFar());
  }

  /** Takes over what the model has gained: at most once a frame. */
  sync() {
    const { entries, steps } = this.#model;
    if (this.shown === entries.length) return;
    const touched = [];
    if (!this.#sections.length && !steps.length) this.#addStep(null);
    while (this.shown < entries.length) {
      if (this.#stepsShown < steps.length && steps[this.#stepsShown].first <= this.shown) this.#addStep(steps[this.#stepsShown]);
      const end = steps[this.#stepsShown]?.first ?? entries.length;
      const { body } = this.#sections[this.#sections.length - 1];
      touched.push(...this.#chunks.add(entries.slice(this.shown, end), this.shown, body));
      this.shown = end;
    }
    this.#chunks.settle(touched, this.follower.keeping);
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
    this.#row.query = query;
    this.#row.current = null;
    this.#chunks.redraw();
  }

  /** @param {import('./linked.js').LineRange} range lines that the page's address names */
  markLinked(range) {
    this.#row.linked = range;
    this.#chunks.redraw();
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
    this.#chunks.relayout();
  }

  /**
   * Brings an entry into sight.
   * @param {number} index
   * @param {{mark?: boolean, block?: 'start'|'center'}} [options]
   */
  reveal(index, { mark = true, block = 'center' } = {}) {
    const chunk = this.#chunks.at(index);
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
    requestAnimationFrame(() => requestAnimationFrame(() => this.follower.following || scroll()));
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
    return this.#chunks.indexOf(node);
  }

  /** @returns {number} the index of the first entry in sight */
  firstVisible() {
    if (!this.shown) return 0;
    return this.#chunks.firstBelow(this.#log.getBoundingClientRect().top + this.#headHeight());
  }

  /** But for those that the reader has folded or opened. */
  #foldDone() {
    const steps = this.#sections.filter((section) => section.outcome);
    if (steps.length < 2) return;
    // Whoever reads somewhere goes on reading there.
    const place = this.follower.following || !this.#log.scrollTop ? null : this.#chunks.at(this.firstVisible())?.element;
    const top = place?.getBoundingClientRect().top ?? 0;
    for (const section of steps) {
      if (section.outcome === 'done' && !section.touched && !(place && section.body.contains(place))) section.fold(true);
    }
    if (place) this.follower.scrollTo(this.#log.scrollTop + place.getBoundingClientRect().top - top);
  }

  #prepareToPrint() {
    const whole = this.shown <= PRINTED_MAX;
    this.#log.classList.toggle('prints-part', !whole);
    if (whole) this.#chunks.drawAll();
  }

  /** @param {import('./model.js').Step|null} step */
  #addStep(step) {
    const section = new StepSection(step, `log-step-${this.#sections.length}`);
    this.#sections.push(section);
    if (step) this.#stepsShown += 1;
    this.end.before(section.element);
  }

  /** @param {number} index */
  #setCurrent(index) {
    this.#log.querySelector('.line.current')?.classList.remove('current');
    this.#row.current = this.#model.entries[index];
    this.#chunks.at(index)?.rowOf(index)?.classList.add('current');
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
