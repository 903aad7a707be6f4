/** The log console: frames come in from the connection, go into the model, and are shown once a frame. */

import { count } from '../format.js';
import { isActive } from '../status.js';
import { LogConnection } from './connection.js';
import { JumpButton } from './jump.js';
import { listenForKeys } from './keys.js';
import { LinkedLines } from './linked.js';
import { LogModel } from './model.js';
import { Note } from './note.js';
import { SearchBox } from './searchbox.js';
import { copySelection } from './selection.js';
import { ConnectionWords, EmptyWords } from './state.js';
import { setUpTools } from './tools.js';
import { LogView } from './view.js';

/** More lines than this at a time are faster than anybody reads. */
const BURST_LINES = 200;
/** After a burst the page draws no sooner than this, and has time to take in what comes. */
const BURST_PAUSE_MS = 100;

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
  const active = isActive(status);
  const model = new LogModel();
  const empty = new EmptyWords(part('log-empty'), status);
  const words = new ConnectionWords(part('log-connection'), hooks.announce);
  // First of all: the server answers while the rest is set up.
  new LogConnection({
    url: liveUrl,
    apiUrl,
    after: () => model.lastSeq,
    onFrame: (frame) => receive(frame),
    onState: (state, said) => {
      words.show(state, said);
      if (state === 'refused') empty.say(said);
    },
  }).start();

  const follow = part('log-follow');
  const view = new LogView({
    log: part('log'),
    model,
    logUrl,
    finished: !active,
    // A log that still grows, or ended in a failure, is read from its end; another from its start.
    follows: active || status === 'failed',
    onFollow: (following) => {
      follow.setAttribute('aria-pressed', String(following));
      jump.followed(following);
    },
  });
  follow.setAttribute('aria-pressed', String(view.follower.following));
  const jump = new JumpButton(root, model, view, active);
  const note = new Note(part('log-note'));
  const search = new SearchBox(root, model, view);
  const linked = new LinkedLines(model, view, part('log'), note);
  const tools = setUpTools(root, model, view, note);
  copySelection(part('log'), model, view);

  // Frames come once the style sheets are there; without them a log has neither a height nor an end to scroll to.
  let styled = false;
  requestAnimationFrame(() => {
    styled = true;
  });
  let due = false;
  let notBefore = 0;
  let ended = false;
  let cause = 0;
  let steps = 0;
  // Only a reader who has looked at nothing else is led away.
  const leadToCause = () => {
    if (view.isWhole && cause && view.follower.following) linked.suggest(cause);
  };
  const show = () => {
    due = false;
    if (model.entries.length - view.shown > BURST_LINES) notBefore = performance.now() + BURST_PAUSE_MS;
    view.sync();
    if (ended && !view.isWhole) {
      view.finish();
      leadToCause();
    }
    search.extend();
    linked.show();
    jump.show();
    empty.show(model.entries.length > 0);
    part('log-count').textContent = model.lineCount ? count(model.lineCount, 'line') : '';
    if (active && model.steps.length > steps) hooks.onStep();
    steps = model.steps.length;
  };
  const schedule = () => {
    // The first screen waits for no frame: behind it more may pour in than a frame has time for.
    if (styled && !view.shown && model.entries.length) return show();
    if (due && !ended) return;
    due = true;
    const wait = ended ? 0 : notBefore - performance.now();
    if (wait > 0) setTimeout(() => requestAnimationFrame(show), wait);
    else requestAnimationFrame(show);
  };

  /** @param {import('./connection.js').Frame} frame */
  const receive = (frame) => {
    if (frame.type === 'lines') model.addLines(frame.lines ?? []);
    else if (frame.type === 'gap') model.addGap(frame.from ?? 0, frame.to ?? 0);
    else if (frame.type === 'status') {
      empty.wait(frame.status ?? '');
      hooks.onStatus(frame.status ?? '');
    } else if (frame.type === 'end') {
      model.finish(frame.status ?? '');
      ended = true;
      empty.say('This deployment wrote no log.');
      clearInterval(ticking);
      hooks.onStatus(frame.status ?? '');
    }
    schedule();
  };
  const ticking = setInterval(() => document.hidden || view.tick(), 1000);

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
    G: () => view.toEnd(),
    ']': () => view.moveStep(1),
    '[': () => view.moveStep(-1),
  });
  // The browser's own way is an animation towards where the end was as it began, and a change of height ends it.
  listenForKeys({ Home: () => view.toStart(), End: () => view.toEnd() }, part('log'));
  return {
    showCause: (seq) => {
      cause = seq;
      leadToCause();
    },
  };
}
