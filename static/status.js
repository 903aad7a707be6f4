/** A deployment's status in the page: its words, its badge, and the words it is known by. */

/** @type {Record<string, string>} */
const NAMES = {
  queued: 'Queued',
  building: 'Building',
  ready: 'Ready',
  failed: 'Failed',
  canceled: 'Canceled',
  superseded: 'Superseded',
};

/**
 * @param {string} status
 * @returns {string}
 */
export function statusName(status) {
  return NAMES[status] ?? status;
}

/**
 * @param {string} status
 * @returns {boolean} whether it may still change
 */
export function isActive(status) {
  return status === 'queued' || status === 'building';
}

/**
 * @param {Element|null} badge
 * @param {string} status
 */
export function showBadge(badge, status) {
  if (!(badge instanceof HTMLElement) || badge.dataset.status === status) return;
  badge.dataset.status = status;
  badge.textContent = statusName(status);
}

/**
 * The words a deployment is known by: its commit's first line, else what was asked for.
 * @param {{commitMessage: string|null, ref: string|null, number: number}} deployment
 * @returns {string}
 */
export function subject(deployment) {
  const line = deployment.commitMessage?.split('\n')[0];
  return line || (deployment.ref ? `Build of ${deployment.ref}` : 'The default branch');
}

/** @typedef {{because: string, position: number}} Waiting */

/**
 * Why a queued deployment has not begun.
 * @param {Waiting} waiting
 * @returns {string}
 */
export function waitingWords(waiting) {
  return `${waiting.because} Number ${waiting.position} in the line.`;
}

/**
 * Writes only what differs, so a reader's selection and a screen reader's place survive.
 * @param {ParentNode} root
 * @param {string} field the `data-field` to fill
 * @param {string} text
 */
export function fill(root, field, text) {
  const element = root.querySelector(`[data-field="${field}"]`);
  if (element && element.textContent !== text) element.textContent = text;
}
