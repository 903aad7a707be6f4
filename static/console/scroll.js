/** Whether the log follows its end. Scrolling up pauses, reaching the end again follows. */

/** Nearer to the end than this counts as at the end: fractions of pixels, and one line. */
const NEAR_PX = 24;
/** Further than this the reader has left: a smooth scroll begins with few pixels, and must not be taken back. */
const LEFT_PX = 2;

export class Follower {
  following;
  /** While a finished log is still read in it stays where it is, and only the reader scrolls. */
  #resting = false;
  #log;
  #onChange;
  #lastTop = 0;

  /**
   * @param {HTMLElement} log the element that scrolls
   * @param {boolean} following
   * @param {(following: boolean) => void} onChange
   */
  constructor(log, following, onChange) {
    this.#log = log;
    this.following = following;
    this.#onChange = onChange;
    log.addEventListener('scroll', () => this.#scrolled(), { passive: true });
  }

  get atEnd() {
    return this.#toGo < NEAR_PX;
  }

  get #toGo() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    return scrollHeight - scrollTop - clientHeight;
  }

  /** @returns {boolean} whether the end is in sight and kept there */
  get keeping() {
    return this.following && !this.#resting;
  }

  /** @param {boolean} following */
  set(following) {
    if (following && !this.#resting) this.#toEnd();
    if (this.following === following) return;
    this.following = following;
    this.#onChange(following);
  }

  /** Until `release`, following waits. */
  rest() {
    this.#resting = true;
  }

  release() {
    this.#resting = false;
    this.keep();
  }

  /** After the log has changed its height. */
  keep() {
    if (this.keeping) this.#toEnd();
  }

  /** Scrolls for the reader, which says nothing of whether they want to follow. @param {number} top */
  scrollTo(top) {
    this.#log.scrollTop = top;
    this.#lastTop = this.#log.scrollTop;
  }

  #toEnd() {
    this.scrollTo(this.#log.scrollHeight);
  }

  // Growth alone never moves the top up, so a top that went up away from the end is the reader's doing.
  #scrolled() {
    const top = this.#log.scrollTop;
    const up = top < this.#lastTop;
    const down = top > this.#lastTop;
    this.#lastTop = top;
    if (this.following && (this.#resting ? up || down : up && this.#toGo > LEFT_PX)) this.set(false);
    else if (!this.following && down && this.atEnd) this.set(true);
  }
}
