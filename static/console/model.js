/** The log as received: each line once, in order, grouped into steps. Knows nothing of the page. */

import { grouped } from '../format.js';
import { plainText } from './ansi.js';

/** @typedef {{seq: number, time: string, stream: string, phase: string, text: string}} LogLine */
/** @typedef {{from: number, to: number}} Gap lines that this console was not given */
/** @typedef {LogLine | Gap} Entry */
/** @typedef {'running'|'done'|'failed'|'canceled'|'stopped'} Outcome */
/** @typedef {{phase: string, first: number, startedAt: number, endedAt: number|null, outcome: Outcome}} Step
 *   `first` is the index of its first entry; times are milliseconds since the epoch */

const ORDER = ['clone', 'detect', 'install', 'build', 'collect', 'upload', 'publish'];

/** @param {Entry} entry @returns {entry is Gap} */
export function isGap(entry) {
  return 'from' in entry;
}

/**
 * Where the builder cut a log that is too long, the line that says how much.
 * @param {Entry} entry
 */
export function isMarker(entry) {
  return !isGap(entry) && entry.stream === 'system' && /^… .* left out/.test(entry.text);
}

export class LogModel {
  /** @type {Entry[]} */ entries = [];
  /** @type {Step[]} */ steps = [];
  lastSeq = 0;
  lineCount = 0;
  /** How far this computer's clock is behind the builder's, as far as it shows. */
  clockBehindMs = 0;
  /** @type {(string|undefined)[]} */ #plain = [];
  /** Until it is seen what follows. @type {Gap|null} */ #gap = null;

  /**
   * Takes lines in order and drops those already here: after a reconnect some may come twice.
   * A hole in the numbers becomes a gap: a missing line is never hidden.
   * @param {LogLine[]} lines
   */
  addLines(lines) {
    for (const line of lines) {
      if (line.seq <= this.lastSeq) continue;
      if (line.seq > this.lastSeq + 1) this.addGap(this.lastSeq + 1, line.seq - 1);
      // The log's own words say more of the same lines, and there is nowhere to read them.
      if (this.#gap && !isMarker(line)) this.entries.push(this.#gap);
      this.#gap = null;
      if (line.phase !== this.steps.at(-1)?.phase) this.#enterStep(line);
      this.entries.push(line);
      this.lastSeq = line.seq;
      this.lineCount += 1;
    }
    const newest = lines.at(-1);
    if (newest) this.clockBehindMs = Math.max(this.clockBehindMs, Date.parse(newest.time) - Date.now());
  }

  /** @param {number} from @param {number} to both included */
  addGap(from, to) {
    const first = Math.max(from, this.lastSeq + 1);
    if (first > to) return;
    this.#gap = { from: this.#gap?.from ?? first, to };
    this.lastSeq = to;
  }

  /**
   * The deployment has ended, and its last step with it.
   * @param {string} status
   */
  finish(status) {
    if (this.#gap) this.entries.push(this.#gap);
    this.#gap = null;
    const step = this.steps.at(-1);
    if (!step || step.endedAt !== null) return;
    const last = this.entries.at(-1);
    step.endedAt = last && !isGap(last) ? Date.parse(last.time) : step.startedAt;
    step.outcome = status === 'failed' || status === 'canceled' ? status : 'done';
  }

  /** @param {number} index @returns {string} an entry's text as it is searched and copied */
  plain(index) {
    const known = this.#plain[index];
    if (known !== undefined) return known;
    const entry = this.entries[index];
    const text = isGap(entry) ? gapText(entry) : plainText(entry.text);
    this.#plain[index] = text;
    return text;
  }

  /** @returns {string} the whole log without colours */
  text() {
    return this.entries.map((_, index) => this.plain(index) + '\n').join('');
  }

  /** @param {LogLine} line */
  #enterStep(line) {
    const time = Date.parse(line.time);
    const step = this.steps.at(-1);
    if (step && step.endedAt === null) {
      step.endedAt = time;
      step.outcome = startsOver(step.phase, line.phase) ? 'stopped' : 'done';
    }
    // A gap before the first line belongs to the first step.
    const first = this.steps.length === 0 ? 0 : this.entries.length;
    this.steps.push({ phase: line.phase, first, startedAt: time, endedAt: null, outcome: 'running' });
  }
}

/** A second attempt begins with an earlier step, so the first one did not finish its own. */
/** @param {string} before @param {string} after */
function startsOver(before, after) {
  const place = ORDER.indexOf(after);
  return place >= 0 && place < ORDER.indexOf(before);
}

/** @param {Gap} gap @returns {string} */
export function gapText(gap) {
  const [from, to] = [grouped(gap.from), grouped(gap.to)];
  return gap.from === gap.to ? `Line ${from} is not here.` : `Lines ${from} to ${to} are not here.`;
}
