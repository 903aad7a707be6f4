/** What is selected is copied as a whole, also lines that are too far away to be in the page. */

/**
 * @param {HTMLElement} log
 * @param {import('./model.js').LogModel} model
 * @param {import('./view.js').LogView} view
 */
export function copySelection(log, model, view) {
  document.addEventListener('copy', (event) => {
    const selection = document.getSelection();
    if (!selection?.rangeCount || !event.clipboardData) return;
    const range = selection.getRangeAt(0);
    if (range.collapsed || !log.contains(range.commonAncestorContainer)) return;
    const first = view.indexOf(range.startContainer) ?? 0;
    let last = view.indexOf(range.endContainer) ?? model.entries.length - 1;
    // A third click selects up to the start of the next line.
    if (range.endOffset === 0 && !textOf(range.endContainer)) last -= 1;
    // Within one line the browser's own way is right.
    if (last <= first) return;
    const texts = Array.from({ length: last - first + 1 }, (_, i) => model.plain(first + i));
    texts[0] = fromStart(range) ?? texts[0];
    texts[texts.length - 1] = upToEnd(range) ?? texts[texts.length - 1];
    event.clipboardData.setData('text/plain', texts.join('\n'));
    event.preventDefault();
  });
  log.addEventListener('keydown', (event) => {
    if (event.key !== 'a' || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
    event.preventDefault();
    document.getSelection()?.selectAllChildren(log);
  });
}

/** @param {Node} node @returns {Element|null} the text of the line that it is in */
function textOf(node) {
  return (node instanceof Element ? node : node.parentElement)?.closest('.text') ?? null;
}

/** @param {Range} range @returns {string|null} what is selected of its first line; null for all of it */
function fromStart(range) {
  const text = textOf(range.startContainer);
  if (!text) return null;
  const part = document.createRange();
  part.selectNodeContents(text);
  part.setStart(range.startContainer, range.startOffset);
  return withoutFiller(part.toString());
}

/** @param {Range} range @returns {string|null} what is selected of its last line; null for all of it */
function upToEnd(range) {
  const text = textOf(range.endContainer);
  if (!text) return null;
  const part = document.createRange();
  part.selectNodeContents(text);
  part.setEnd(range.endContainer, range.endOffset);
  return withoutFiller(part.toString());
}

/** What an empty line is drawn with. @param {string} text */
function withoutFiller(text) {
  return text === '\u200b' ? '' : text;
}
