/** One step of the build in the log: a header that stays in sight and folds, and its lines. */

import { duration } from '../format.js';

export class StepSection {
  element = document.createElement('section');
  body = document.createElement('div');
  button = document.createElement('button');
  /** Whether the reader has folded or opened it, or was led into it. */
  touched = false;
  #name = span('step-name');
  #outcome = span('step-outcome');
  #time = span('step-time');
  #step;

  /**
   * @param {import('./model.js').Step|null} step null for what comes before any step
   * @param {string} id unique in the page
   */
  constructor(step, id) {
    this.#step = step;
    this.element.className = 'step';
    this.body.className = 'step-lines';
    this.body.id = id;
    if (step) this.element.append(this.#header(step, id));
    this.element.append(this.body);
  }

  /** @returns {string|undefined} none for what comes before any step */
  get outcome() {
    return this.#step?.outcome;
  }

  get folded() {
    return this.body.hidden;
  }

  /** @param {boolean} folded */
  fold(folded) {
    this.body.hidden = folded;
    this.button.setAttribute('aria-expanded', String(!folded));
  }

  /** To show a line in it. */
  open() {
    this.touched = true;
    this.fold(false);
  }

  /**
   * Shows the outcome and the time so far.
   * @param {number|null} now by the builder's clock; null while neither is known of a step that goes on
   */
  update(now) {
    const step = this.#step;
    if (!step || (step.endedAt === null && now === null)) return;
    if (this.element.dataset.outcome !== step.outcome) {
      this.element.dataset.outcome = step.outcome;
      this.#outcome.textContent = step.outcome;
    }
    const time = duration((step.endedAt ?? now ?? 0) - step.startedAt, step.endedAt !== null);
    if (this.#time.textContent !== time) this.#time.textContent = time;
  }

  /** @param {import('./model.js').Step} step @param {string} id */
  #header(step, id) {
    const heading = document.createElement('h3');
    heading.className = 'step-head';
    this.button.type = 'button';
    this.button.setAttribute('aria-expanded', 'true');
    this.button.setAttribute('aria-controls', id);
    this.#name.textContent = step.phase ? step.phase[0].toUpperCase() + step.phase.slice(1) : 'Log';
    // The spaces are for those who hear it: without them the three run into one word.
    this.button.append(span('step-chevron'), span('step-mark'), this.#name, ' ', this.#outcome, ' ', this.#time);
    this.button.addEventListener('click', () => {
      this.touched = true;
      this.fold(!this.folded);
    });
    heading.append(this.button);
    return heading;
  }
}

/** @param {string} className */
function span(className) {
  const made = document.createElement('span');
  made.className = className;
  if (className === 'step-chevron' || className === 'step-mark') made.setAttribute('aria-hidden', 'true');
  return made;
}
