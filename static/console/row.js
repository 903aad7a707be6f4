/** One entry of the log as an element. Text goes in as text only. */

import { parseAnsi } from './ansi.js';
import { findLinks } from './links.js';
import { gapText, isGap, isMarker } from './model.js';
import { findAll } from './search.js';

/** @typedef {{query: string, logUrl: string, linked: import('./linked.js').LineRange|null,
 *   current: import('./model.js').Entry|null}} RowOptions */

/**
 * @param {import('./model.js').Entry} entry
 * @param {RowOptions} options
 * @returns {HTMLElement}
 */
export function createRow(entry, options) {
  const row = element('div', entry === options.current ? 'line current' : 'line');
  if (isGap(entry)) {
    row.classList.add('gap');
    row.append(element('span', 'at'), gapWords(entry, options.logUrl));
    return row;
  }
  row.dataset.seq = String(entry.seq);
  row.dataset.stream = entry.stream;
  if (isMarker(entry)) row.classList.add('cut');
  if (options.linked && entry.seq >= options.linked.from && entry.seq <= options.linked.to) row.classList.add('linked');
  const at = element('time', 'at');
  at.setAttribute('datetime', entry.time);
  at.textContent = clock(entry.time);
  row.append(numberLink(entry.seq), at, lineText(entry.text, options.query));
  return row;
}

/** The number itself is the style sheet's, so that it is not copied with the text. @param {number} seq */
function numberLink(seq) {
  const link = document.createElement('a');
  link.className = 'nr';
  link.href = `#L${seq}`;
  link.dataset.nr = String(seq);
  // The text is what is read line by line; thousands of stops before it would be in the way.
  link.tabIndex = -1;
  link.setAttribute('aria-hidden', 'true');
  return link;
}

/** @param {import('./model.js').Gap} gap @param {string} logUrl */
function gapWords(gap, logUrl) {
  const words = element('span', 'text');
  const link = document.createElement('a');
  link.href = `${logUrl}?format=text&after=${gap.from - 1}`;
  link.textContent = 'Read the log from there';
  words.append(`${gapText(gap)} `, link);
  return words;
}

/** @param {string} text @param {string} query */
function lineText(text, query) {
  const { plain, runs } = parseAnsi(text);
  const links = findLinks(plain);
  const marks = query ? findAll(plain, query) : [];
  const place = element('span', 'text');
  if (!runs.length && !links.length && !marks.length) {
    // An empty line keeps its height, and something to select.
    place.textContent = plain || '\u200b';
    return place;
  }
  appendPieces(place, plain, { runs, links, marks });
  return place;
}

/** @typedef {{start: number, end: number}} Range */

/**
 * Cuts the text wherever a look, a link or a match begins or ends, and nests what covers each piece.
 * @param {HTMLElement} place
 * @param {string} plain
 * @param {{runs: import('./ansi.js').Run[], links: import('./links.js').Link[], marks: Range[]}} ranges
 */
function appendPieces(place, plain, { runs, links, marks }) {
  const cuts = new Set([0, plain.length]);
  for (const range of [...runs, ...links, ...marks]) cuts.add(range.start).add(range.end);
  const edges = [...cuts].sort((a, b) => a - b);
  const [run, link, mark] = [cursor(runs), cursor(links), cursor(marks)];
  /** @type {HTMLElement|null} */
  let anchor = null;
  edges.slice(0, -1).forEach((start, i) => {
    let node = styled(plain.slice(start, edges[i + 1]), run(start)?.classes);
    if (mark(start)) node = wrapped('mark', node);
    const address = link(start);
    if (!address) place.append(node);
    else {
      if (address.start === start || !anchor) place.append((anchor = anchorTo(address.href)));
      anchor.append(node);
    }
  });
}

/**
 * Ranges are sorted and don't overlap, so one pass forward finds each piece's own.
 * @template {Range} R
 * @param {R[]} ranges
 * @returns {(at: number) => R|undefined}
 */
function cursor(ranges) {
  let i = 0;
  return (at) => {
    while (i < ranges.length && ranges[i].end <= at) i += 1;
    return i < ranges.length && ranges[i].start <= at ? ranges[i] : undefined;
  };
}

/** @param {string} text @param {string|undefined} classes @returns {Node} */
function styled(text, classes) {
  if (!classes) return document.createTextNode(text);
  const span = element('span', classes);
  span.textContent = text;
  return span;
}

/** @param {string} name @param {Node} node */
function wrapped(name, node) {
  const outer = document.createElement(name);
  outer.append(node);
  return outer;
}

/** @param {string} href */
function anchorTo(href) {
  const anchor = document.createElement('a');
  anchor.href = href;
  anchor.rel = 'noopener noreferrer nofollow';
  anchor.target = '_blank';
  return anchor;
}

/** @param {string} name @param {string} classes */
function element(name, classes) {
  const made = document.createElement(name);
  made.className = classes;
  return made;
}

/** @param {string} time @returns {string} the reader's own time of day */
function clock(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '';
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
