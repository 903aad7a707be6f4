/** Which entries hold the words, and which of them is looked at. */

import { count, grouped } from '../format.js';

/**
 * Every place of `query` in `text`, case aside, not overlapping.
 * @param {string} text
 * @param {string} query
 * @returns {{start: number, end: number}[]}
 */
export function findAll(text, query) {
  const lower = text.toLowerCase();
  // Few letters change length in lowercase; places found there would be wrong ones.
  const [hay, needle] = lower.length === text.length ? [lower, query.toLowerCase()] : [text, query];
  const found = [];
  for (let at = hay.indexOf(needle); at >= 0 && needle; at = hay.indexOf(needle, at + needle.length)) {
    found.push({ start: at, end: at + needle.length });
  }
  return found;
}

export class LogSearch {
  query = '';
  /** @type {number[]} indices of entries, ascending */ matches = [];
  /** Which match is looked at; -1 for none yet. */
  position = -1;
  #searched = 0;
  #model;

  /** @param {import('./model.js').LogModel} model */
  constructor(model) {
    this.#model = model;
  }

  /** @param {string} query */
  start(query) {
    this.query = query;
    this.matches = [];
    this.position = -1;
    this.#searched = 0;
    this.extend();
  }

  /** Looks at what came since. */
  extend() {
    const end = this.#model.entries.length;
    if (this.query) {
      for (let i = this.#searched; i < end; i += 1) {
        if (findAll(this.#model.plain(i), this.query).length) this.matches.push(i);
      }
    }
    this.#searched = end;
  }

  /**
   * The next match after the one looked at, round and round; the first time, the first at or after `from`.
   * @param {1|-1} direction
   * @param {number} from an entry's index
   * @returns {number|null} an entry's index
   */
  move(direction, from) {
    const total = this.matches.length;
    if (!total) return null;
    if (this.position >= 0) this.position = (this.position + direction + total) % total;
    else {
      const after = this.matches.findIndex((index) => index >= from);
      const next = after < 0 ? 0 : after;
      this.position = direction === 1 ? next : (next - 1 + total) % total;
    }
    return this.matches[this.position];
  }

  /** @returns {string} "3 of 14", "14 lines", "No match" */
  summary() {
    if (!this.query) return '';
    const total = this.matches.length;
    if (!total) return 'No match';
    return this.position >= 0 ? `${grouped(this.position + 1)} of ${grouped(total)}` : count(total, 'line');
  }
}
