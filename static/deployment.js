/** A deployment's page: the log console, and all around it that changes with the status. */

import { startConsole } from './console/console.js';
import { filesize, grouped, span } from './format.js';
import { fill, isActive, showBadge, statusName, subject, waitingWords } from './status.js';

const root = /** @type {HTMLElement} */ (document.getElementById('console'));
const outcome = /** @type {HTMLElement} */ (document.getElementById('outcome'));
const facts = /** @type {HTMLElement} */ (document.getElementById('facts'));
const time = /** @type {HTMLElement} */ (facts.querySelector('[data-field="duration"]'));
let status = root.dataset.status ?? '';

/** @param {string} words */
function announce(words) {
  const place = document.getElementById('announce');
  if (place) place.textContent = words;
}

/** @param {string|undefined} url */
async function getJSON(url) {
  const response = await fetch(url ?? '', { headers: { Accept: 'application/json' } });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

/** @param {string} next */
async function statusChanged(next) {
  if (!next || next === status) return;
  status = next;
  showBadge(document.getElementById('status'), next);
  document.title = document.title.replace(/^[^·]*/, `${statusName(next)} `);
  announce(statusName(next));
  // Whether it is live only the project knows; until then the panel stays as it is.
  if (next !== 'ready') showState(next);
  await refresh();
}

/** Fills in what the build has found out so far. Never in the way: the log goes on without it. */
async function refresh() {
  try {
    const deployment = await getJSON(root.dataset.apiUrl);
    showFacts(deployment);
    if (status === 'ready') {
      const project = await getJSON(root.dataset.projectUrl);
      showReady(deployment, project.production?.deploymentID === deployment.deploymentID);
    }
  } catch {
    if (status === 'ready') showReady(null, false);
  }
}

/** @param {any} deployment */
function showFacts(deployment) {
  fill(facts, 'commit', deployment.commit?.slice(0, 7) ?? '–');
  facts.querySelector('[data-field="commit"]')?.setAttribute('title', deployment.commit ?? '');
  fill(facts, 'framework', deployment.framework ?? '–');
  fill(facts, 'files', deployment.files === null ? '–' : grouped(deployment.files));
  fill(facts, 'bytes', deployment.bytes === null ? '–' : filesize(deployment.bytes));
  if (deployment.ref) fill(facts, 'ref', deployment.ref);
  fill(document, 'subject', subject(deployment));
  time.dataset.started = deployment.startedAt ?? '';
  time.dataset.finished = deployment.finishedAt ?? '';
  showDuration();
  if (deployment.waiting) fill(outcome, 'waiting', waitingWords(deployment.waiting));
  if (deployment.error) {
    fill(outcome, 'error.message', deployment.error.message);
    fill(outcome, 'error.hint', deployment.error.hint ?? '');
    showLine(deployment.error.line);
    if (deployment.error.line) log.showCause(deployment.error.line);
  }
}

/** @param {number|null|undefined} line of the log, which shows why the build failed */
function showLine(line) {
  const link = /** @type {HTMLAnchorElement} */ (outcome.querySelector('[data-field="error.line"]'));
  link.hidden = !line;
  link.href = `#L${line ?? ''}`;
  link.textContent = `Line ${line ?? ''} of the log`;
}

function showDuration() {
  const words = span(time.dataset.started, time.dataset.finished) || '–';
  if (time.textContent !== words) time.textContent = words;
}

/** @param {{url?: string}|null} deployment @param {boolean} isLive */
function showReady(deployment, isLive) {
  const link = /** @type {HTMLAnchorElement} */ (document.getElementById('open-site'));
  const { siteUrl, ownUrl } = link.dataset;
  link.href = (isLive ? siteUrl : deployment?.url || ownUrl || siteUrl) ?? '';
  for (const own of outcome.querySelectorAll('[data-own-link]')) own.setAttribute('href', deployment?.url || ownUrl || '');
  showState(isLive ? 'live' : root.dataset.target === 'preview' ? 'preview' : 'ready');
}

/** Shows the words and the actions of one state. @param {string} state */
function showState(state) {
  if (outcome.dataset.state === state) return;
  const held = outcome.contains(document.activeElement);
  outcome.dataset.state = state;
  for (const element of outcome.querySelectorAll('[data-when]')) {
    element.toggleAttribute('hidden', !element.getAttribute('data-when')?.split(' ').includes(state));
  }
  // A control that went away must not drop the focus to the top of the page.
  if (held && !outcome.contains(document.activeElement)) {
    /** @type {HTMLElement|null} */ (outcome.querySelector('.actions > :not([hidden])'))?.focus();
  }
}

setInterval(() => isActive(status) && showDuration(), 1000);
// The place in the line changes with other people's builds, of which this page hears nothing.
setInterval(() => status === 'queued' && !document.hidden && refresh(), 3000);
const log = startConsole(root, { onStatus: statusChanged, onStep: refresh, announce });
const cause = /^#L([0-9]+)$/.exec(/** @type {HTMLAnchorElement} */ (outcome.querySelector('[data-field="error.line"]')).hash);
if (status === 'failed' && cause) log.showCause(Number(cause[1]));
