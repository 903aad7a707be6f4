/** How a reader likes the log, kept in their browser. Works without, for one page. */

/**
 * @param {string} name
 * @param {boolean} otherwise
 * @returns {boolean}
 */
export function readSetting(name, otherwise) {
  try {
    return (localStorage.getItem(`log.${name}`) ?? String(otherwise)) === 'true';
  } catch {
    return otherwise;
  }
}

/** @param {string} name @param {boolean} value */
export function writeSetting(name, value) {
  try {
    localStorage.setItem(`log.${name}`, String(value));
  } catch {
    // Storage may be off; the setting then lasts as long as the page.
  }
}
