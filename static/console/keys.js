/** Single keys for the log. They rest while somebody types, or has the focus in another control's reach. */

/**
 * @param {Record<string, () => void>} actions key → what it does
 * @param {HTMLElement|Document} within where they are pressed
 */
export function listenForKeys(actions, within = document) {
  within.addEventListener('keydown', (event) => {
    if (!(event instanceof KeyboardEvent)) return;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    // With a letter it is another key; with a named one the reader selects.
    if (event.shiftKey && event.key.length > 1) return;
    if (isTyping(event.target) || document.querySelector('dialog[open]')) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** @param {EventTarget|null} target */
function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches('input, textarea, select'));
}
