/** Words for times and amounts, the same words as the server's filters of the same names. */

const UNITS = /** @type {const} */ ([[86400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']]);

/**
 * "just now", "15 seconds ago", "3 days ago".
 * @param {string} at RFC 3339, or "" for no time
 * @returns {string}
 */
export function ago(at) {
  const seconds = Math.floor((Date.now() - Date.parse(at)) / 1000);
  if (Number.isNaN(seconds)) return '';
  if (seconds < 10) return 'just now';
  const [size, name] = UNITS.find(([unit]) => seconds >= unit) ?? UNITS[3];
  return `${count(Math.floor(seconds / size), name)} ago`;
}

/**
 * "4 s", "2 min 5 s", "1 h 3 min".
 * @param {number} ms
 * @param {boolean} [precise] with tenths below ten seconds, for what has ended
 * @returns {string}
 */
export function duration(ms, precise = false) {
  const seconds = Math.max(0, ms) / 1000;
  if (precise && seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/**
 * The time from `start` until `end`, or until now where there is no end yet.
 * @param {string|null|undefined} start
 * @param {string|null|undefined} end
 * @returns {string} "" where nothing started
 */
export function span(start, end) {
  if (!start) return '';
  return duration((end ? Date.parse(end) : Date.now()) - Date.parse(start));
}

/**
 * "640 B", "1.2 MB".
 * @param {number} bytes
 * @returns {string}
 */
export function filesize(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB'];
  let size = bytes / 1000;
  while (size >= 999.5 && units.length > 1) {
    size /= 1000;
    units.shift();
  }
  return `${size.toFixed(1)} ${units[0]}`;
}

/**
 * "1,204". By hand: the first number that a page has formatted otherwise takes tens of milliseconds.
 * @param {number} n whole
 * @returns {string}
 */
export function grouped(n) {
  return String(n).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/**
 * "1 line", "1,204 lines".
 * @param {number} n
 * @param {string} noun
 * @returns {string}
 */
export function count(n, noun) {
  return `${grouped(n)} ${noun}${n === 1 ? '' : 's'}`;
}
