/** Addresses in log text, http and https only. */

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\\|{}^]+/gi;
const CLOSERS = { ')': '(', ']': '[' };

/** @typedef {{start: number, end: number, href: string}} Link */

/**
 * @param {string} plain
 * @returns {Link[]}
 */
export function findLinks(plain) {
  if (!plain.includes('://')) return [];
  return [...plain.matchAll(ADDRESS)].flatMap((match) => {
    const text = withoutTail(match[0]);
    const href = safeHref(text);
    return href ? [{ start: match.index, end: match.index + text.length, href }] : [];
  });
}

/** A sentence's full stop or bracket is not the address's. @param {string} text */
function withoutTail(text) {
  let end = text.length;
  for (; end > 0; end -= 1) {
    const last = text[end - 1];
    const opener = CLOSERS[/** @type {keyof typeof CLOSERS} */ (last)];
    if (opener ? text.slice(0, end - 1).includes(opener) : !'.,;:!?…*_)]'.includes(last)) break;
  }
  return text.slice(0, end);
}

/** @param {string} text */
function safeHref(text) {
  try {
    const url = new URL(text);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : null;
  } catch {
    return null;
  }
}
