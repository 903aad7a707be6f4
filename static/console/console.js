/** The log console: frames come in from the connection, go into the model, and are shown once a frame. */

import { count } from '../format.js';
import { isActive } from '../status.js';
import { LogConnection } from './connection.js';
import { JumpButton } from './jump.js';
import { listenForKeys } from './keys.js';
import { LinkedLines } from './linked.js';
import { LogModel } from './model.js';
import { SearchBox } from './searchbox.js';
import { setUpTools } from './tools.js';
import { LogView } from './view.js';

/**
 * @typedef {object} ConsoleHooks
 * @property {(status: string) => void} onStatus the deployment's status changed; called again with its last
 * @property {() => void} onStep another step of the build began
 * @property {(words: string) => void} announce says something to a screen reader
 */

/**
 * @param {HTMLElement} root the element that `data-live-url` and its neighbours are on
 * @param {ConsoleHooks} hooks
 * @returns {{showCause: (seq: number) => void}} leads to the line that shows why the build failed
 */
export function startConsole(root, hooks) {
  const { status = '', liveUrl = '', logUrl = '', apiUrl = '' } = root.dataset;
  const part = (/** @type {string} */ id) => /** @type {HTMLElement} */ (root.querySelector(`#${id}`));
  const model = new LogModel();
  const jump = new JumpButton(part('log-jump'), part('log-jump-label'), model, isActive(status));
  const view = new LogView({
    log: part('log'),
    model,
    logUrl,
    onFollow: (following) => {
      part('log-follow').setAttribute('aria-pressed', String(following));
      jump.followed(following);
    },
  });
  const search = new SearchBox(root, model, view);
  const linked = new LinkedLines(model, view, part('log'));
  const tools = setUpTools(root, model, view, hooks.announce);
  const empty = new EmptyNote(part('log-empty'), model);
  empty.say(waitingWords(status));

  let due = false;
  let ended = false;
  let folded = false;
  let cause = 0;
  // Only a reader who has looked at nothing else is led away.
  const leadToCause = () => {
    if (ended && cause && view.follower.following) linked.suggest(cause);
  };
  let steps = 0;
  const show = () => {
    due = false;
    view.sync();
    if (ended && !folded) {
      folded = true;
      view.foldDone();
      leadToCause();
    }
    search.extend();
    linked.show();
    jump.show(view.follower.screensToEnd);
    empty.show();
    part('log-count').textContent = model.lineCount ? count(model.lineCount, 'line') : '';
    if (model.steps.length > steps) hooks.onStep();
    steps = model.steps.length;
  };
  const schedule = () => {
    if (!due) requestAnimationFrame(show);
    due = true;
  };

  /** @param {import('./connection.js').Frame} frame */
  const receive = (frame) => {
    if (frame.type === 'lines') model.addLines(frame.lines ?? []);
    else if (frame.type === 'gap') model.addGap(frame.from ?? 0, frame.to ?? 0);
    else if (frame.type === 'status') {
      empty.say(waitingWords(frame.status ?? ''));
      hooks.onStatus(frame.status ?? '');
    } else if (frame.type === 'end') {
      model.finish(frame.status ?? '');
      ended = true;
      empty.say('This deployment wrote no log.');
      clearInterval(ticking);
      view.tick();
      hooks.onStatus(frame.status ?? '');
    }
    schedule();
  };
  const ticking = setInterval(() => document.hidden || view.tick(), 1000);

  let connected = '';
  const connection = new LogConnection({
    url: liveUrl,
    apiUrl,
    after: () => model.lastSeq,
    onFrame: receive,
    onState: (state, words) => {
      const place = part('log-connection');
      place.dataset.state = state;
      place.textContent = words;
      // The countdown changes every second; losing and regaining is what is worth hearing.
      if (state === 'lost' && connected !== 'lost') hooks.announce('Connection to the log lost. Trying again.');
      if (state === 'live' && connected === 'lost') hooks.announce('Connected to the log again.');
      if (state === 'refused' || state === 'offline') hooks.announce(words);
      if (state === 'refused') empty.say(words);
      if (state === 'refused' && words.includes('Log in')) place.replaceChildren(loginLink(words));
      if (state !== 'connecting') connected = state;
    },
  });

  part('log').addEventListener('scroll', () => jump.show(view.follower.screensToEnd), { passive: true });
  part('log-jump').addEventListener('click', () => {
    view.follower.set(true);
    part('log').focus({ preventScroll: true });
  });
  listenForKeys({
    '/': () => search.focus(),
    '?': tools.help,
    f: tools.follow,
    w: tools.wrap,
    t: tools.times,
    c: tools.copy,
    e: tools.error,
    F: tools.full,
    Escape: tools.leave,
    g: () => view.toStart(),
    G: () => view.follower.set(true),
    ']': () => view.moveStep(1),
    '[': () => view.moveStep(-1),
  });
  // A log that still grows, or ends in a failure, is read from its end; a finished one from its start.
  view.follower.set(isActive(status) || status === 'failed');
  connection.start();
  return {
    showCause: (seq) => {
      cause = seq;
      leadToCause();
    },
  };
}

/** @param {string} status */
function waitingWords(status) {
  if (status === 'queued') return 'Waiting for a builder…';
  if (status === 'building') return 'Waiting for the first line…';
  return 'Opening the log…';
}

/** What stands in the log's place while it has no line. */
class EmptyNote {
  #element;
  #model;

  /** @param {HTMLElement} element @param {LogModel} model */
  constructor(element, model) {
    this.#element = element;
    this.#model = model;
  }

  /** @param {string} words */
  say(words) {
    this.#element.textContent = words;
  }

  show() {
    this.#element.hidden = this.#model.entries.length > 0;
  }
}

/** To the log-in page and back here. @param {string} words */
function loginLink(words) {
  const link = document.createElement('a');
  link.href = `/login?next=${encodeURIComponent(location.pathname)}`;
  link.textContent = words;
  return link;
}
