/** The live log's socket: opened again after each loss, from the last line seen, until the log ends. */

const FIRST_DELAY_MS = 1000;
const MAX_DELAY_MS = 10_000;
/** With this the server closes where the session has ended, or the deployment is gone. */
const NOT_FOR_YOU = 1008;

/** @typedef {'connecting'|'live'|'lost'|'offline'|'ended'|'refused'} ConnectionState */
/** @typedef {{type: string, status?: string, lines?: import('./model.js').LogLine[], from?: number, to?: number}} Frame */

/**
 * @typedef {object} ConnectionOptions
 * @property {string} url the socket's path
 * @property {string} apiUrl the deployment, asked for where the socket will not open, to say why
 * @property {() => number} after the last line seen
 * @property {(frame: Frame) => void} onFrame
 * @property {(state: ConnectionState, words: string) => void} onState words for a person
 */

export class LogConnection {
  #options;
  /** @type {WebSocket|null} */ #socket = null;
  #failures = 0;
  #done = false;
  /** @type {number|undefined} */ #timer;

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = options;
  }

  start() {
    addEventListener('offline', () => this.#pause());
    addEventListener('online', () => this.#retryNow());
    document.addEventListener('visibilitychange', () => document.hidden || this.#retryNow());
    // The page may come back from the browser's cache with its socket closed.
    addEventListener('pageshow', (event) => event.persisted && this.#retryNow());
    if (navigator.onLine) this.#open();
    else this.#pause();
  }

  #open() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#options.onState('connecting', this.#failures ? 'Connecting again…' : 'Connecting…');
    const url = new URL(this.#options.url, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.searchParams.set('after', String(this.#options.after()));
    const socket = new WebSocket(url);
    let opened = false;
    this.#socket = socket;
    socket.onopen = () => {
      opened = true;
      if (this.#socket === socket) this.#options.onState('live', 'Live');
    };
    socket.onmessage = (event) => this.#socket === socket && this.#receive(socket, event.data);
    socket.onclose = ({ code }) => this.#socket === socket && this.#lost(opened && code !== NOT_FOR_YOU);
  }

  /** @param {WebSocket} socket @param {unknown} data */
  #receive(socket, data) {
    let frame;
    try {
      frame = JSON.parse(String(data));
    } catch {
      // Not our server's words: start again from the last line seen rather than guess.
      socket.close();
      return;
    }
    this.#failures = 0;
    if (frame.type === 'end') {
      this.#done = true;
      this.#socket = null;
      this.#options.onState('ended', 'The log is complete');
      // The server closes first, with 1000; this is for one that does not.
      setTimeout(() => socket.close(1000), 1000);
    }
    this.#options.onFrame(frame);
  }

  /** @param {boolean} welcome whether it may simply be opened again */
  async #lost(welcome) {
    this.#socket = null;
    if (!navigator.onLine) return this.#pause();
    this.#failures += 1;
    if (!welcome) {
      const refusal = await this.#refusal();
      if (refusal) {
        this.#done = true;
        return this.#options.onState('refused', refusal);
      }
      if (this.#socket || this.#done) return;
    }
    // Half to whole of the delay, so a thousand consoles don't come back in the same instant.
    const delay = Math.min(FIRST_DELAY_MS * 2 ** (this.#failures - 1), MAX_DELAY_MS);
    this.#countDown(Math.max(1, Math.round((delay * (0.5 + Math.random() / 2)) / 1000)));
  }

  /** @param {number} seconds */
  #countDown(seconds) {
    if (seconds <= 0) return this.#open();
    this.#options.onState('lost', `Connection lost. Trying again in ${seconds} s…`);
    this.#timer = window.setTimeout(() => this.#countDown(seconds - 1), 1000);
  }

  /** A browser does not say why a socket was refused; the same deployment over HTTP does. */
  async #refusal() {
    try {
      const { status } = await fetch(this.#options.apiUrl, { headers: { Accept: 'application/json' } });
      if (status === 401) return 'You are logged out. Log in again to go on.';
      if (status === 403 || status === 404) return 'This deployment is no longer there for you.';
    } catch {
      // The server is away altogether: the ordinary case of a lost connection.
    }
    return null;
  }

  #pause() {
    if (this.#done) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#options.onState('offline', 'You are offline. The log goes on when you are back.');
  }

  #retryNow() {
    if (this.#done || this.#socket || !navigator.onLine) return;
    this.#open();
  }
}
