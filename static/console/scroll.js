/** Whether the log follows its end. Scrolling up pauses, reaching the end again follows. */

/** Nearer to the end than this counts as at the end: fractions of pixels, and one line. */
const NEAR_PX = 24;

export class Follower {
  following = false;
  #log;
  #onChange;
  #lastTop = 0;

  /**
   * @param {HTMLElement} log the element that scrolls
   * @param {(following: boolean) => void} onChange
   */
  constructor(log, onChange) {
    this.#log = log;
    this.#onChange = onChange;
    log.addEventListener('scroll', () => this.#scrolled(), { passive: true });
  }

  get atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  /** @returns {number} how far away the end is, in heights of the log */
  get screensToEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    return (scrollHeight - scrollTop - clientHeight) / Math.max(1, clientHeight);
  }

  /** @param {boolean} following */
  set(following) {
    if (following) this.toEnd();
    if (this.following === following) return;
    this.following = following;
    this.#onChange(following);
  }

  /** After the log has changed its height. */
  keep() {
    if (this.following) this.toEnd();
  }

  toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#lastTop = this.#log.scrollTop;
  }

  // Growth alone never moves the top up, so a top that went up away from the end is the reader's doing.
  #scrolled() {
    const top = this.#log.scrollTop;
    const up = top < this.#lastTop;
    const down = top > this.#lastTop;
    this.#lastTop = top;
    if (this.following && up && !this.atEnd) this.set(false);
    else if (!this.following && down && this.atEnd) this.set(true);
  }
}
