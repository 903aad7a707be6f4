/** Keeps "3 minutes ago" true on a page that stays open. */

import { ago } from './format.js';

const EVERY_MS = 30_000;

/** @param {ParentNode} [root] */
export function refreshTimes(root = document) {
  for (const element of root.querySelectorAll('time[data-ago]')) {
    const text = ago(element.getAttribute('datetime') ?? '');
    if (element.textContent !== text) element.textContent = text;
    element.setAttribute('title', localTime(element.getAttribute('datetime') ?? ''));
  }
}

/** @param {string} at */
function localTime(at) {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? '' : time.toLocaleString();
}

refreshTimes();
setInterval(refreshTimes, EVERY_MS);
document.addEventListener('visibilitychange', () => document.hidden || refreshTimes());
