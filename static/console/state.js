/** The console's state in words: that of its connection, and what stands in the log's place while it is empty. */

export class EmptyWords {
  #element;

  /** @param {HTMLElement} element @param {string} status */
  constructor(element, status) {
    this.#element = element;
    this.wait(status);
  }

  /** @param {string} status of the deployment, whose log is to come */
  wait(status) {
    if (status === 'queued') this.say('Waiting for a builder…');
    else this.say(status === 'building' ? 'Waiting for the first line…' : 'Opening the log…');
  }

  /** @param {string} words */
  say(words) {
    this.#element.textContent = words;
  }

  /** @param {boolean} hasLines */
  show(hasLines) {
    this.#element.hidden = hasLines;
  }
}

export class ConnectionWords {
  #element;
  #announce;
  #last = '';

  /** @param {HTMLElement} element @param {(words: string) => void} announce */
  constructor(element, announce) {
    this.#element = element;
    this.#announce = announce;
  }

  /** @param {import('./connection.js').ConnectionState} state @param {string} words */
  show(state, words) {
    this.#element.dataset.state = state;
    if (state === 'refused' && words.includes('Log in')) this.#element.replaceChildren(loginLink(words));
    else this.#element.textContent = words;
    // The countdown changes every second; losing and regaining is what is worth hearing.
    if (state === 'lost' && this.#last !== 'lost') this.#announce('Connection to the log lost. Trying again.');
    if (state === 'live' && this.#last === 'lost') this.#announce('Connected to the log again.');
    if (state === 'refused' || state === 'offline') this.#announce(words);
    if (state !== 'connecting') this.#last = state;
  }
}

/** To the log-in page and back here. @param {string} words */
function loginLink(words) {
  const link = document.createElement('a');
  link.href = `/login?next=${encodeURIComponent(location.pathname)}`;
  link.textContent = words;
  return link;
}
