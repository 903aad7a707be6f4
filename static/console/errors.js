/** Where a log first says that something went wrong. */

import { isGap } from './model.js';

const WRONG = /\b(?:error|fatal|exception|failed|failure|panic)\b|\bERR!|[✘✖]/i;
const NONE = /\b(?:0|no) (?:errors?|failures?|failed)\b|\b(?:errors?|failed|failures?): ?0\b/i;

/**
 * @param {import('./model.js').LogModel} model
 * @returns {number} the index of an entry, or -1
 */
export function findFirstError(model) {
  return model.entries.findIndex((entry, index) => {
    if (isGap(entry) || entry.stream === 'system') return false;
    const text = model.plain(index);
    return WRONG.test(text) && !NONE.test(text);
  });
}
