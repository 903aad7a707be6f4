/** A form is sent once: its buttons rest while the answer is on its way. */

/** @param {HTMLFormElement} form @param {boolean} busy */
function setBusy(form, busy) {
  for (const button of form.querySelectorAll('button')) {
    button.disabled = busy;
    button.setAttribute('aria-busy', String(busy));
  }
  form.toggleAttribute('data-busy', busy);
}

document.addEventListener('submit', (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || form.method === 'dialog' || event.defaultPrevented) return;
  // After this turn: a button disabled now would be left out of what is sent.
  setTimeout(() => setBusy(form, true));
});

// Back from the next page, the browser may show this one as it was left.
addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('form[data-busy]')) {
    if (form instanceof HTMLFormElement) setBusy(form, false);
  }
});
