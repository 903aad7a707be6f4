/** Keeps "3 minutes ago" true on a page that stays open. */

import { ago } from './format.js';

const EVERY_MS = 30_000;

/** @param {ParentNode} [root] */
export function refreshTimes(root = document) {
  for (const element of root.querySelectorAll('time[data-ago]')) {
    const text = ago(element.getAttribute('datetime') ?? '');
    if (element.textContent !== text) element.textContent = text;
  }
}

/**
 * The reader's own time, once it is asked for: the first that a page has formatted takes tens of milliseconds.
 * @param {Event} event
 */
function showLocalTime(event) {
  const element = event.target instanceof Element && event.target.closest('time[data-ago]');
  if (!element) return;
  const time = new Date(element.getAttribute('datetime') ?? '');
  if (!Number.isNaN(time.getTime())) element.setAttribute('title', time.toLocaleString());
}

refreshTimes();
setInterval(refreshTimes, EVERY_MS);
document.addEventListener('visibilitychange', () => document.hidden || refreshTimes());
document.addEventListener('pointerover', showLocalTime);
