/** A project's page: its rows follow their deployments while one of them is queued or building. */

import { ago, span } from './format.js';
import { fill, isActive, showBadge, statusName, subject, waitingWords } from './status.js';

const POLL_MS = 3000;
/** After failed polls, up to this much later: a server that is away is not hurried. */
const POLL_MAX_MS = 30_000;

/** @typedef {{deploymentID: string, number: number, status: string, target: string, ref: string|null, commit: string|null,
 *   commitMessage: string|null, createdAt: string, startedAt: string|null, finishedAt: string|null,
 *   waiting: import('./status.js').Waiting|null}} Deployment */

const list = document.getElementById('deployments');
const live = document.getElementById('live');
const isOlderPage = new URLSearchParams(location.search).has('cursor');
let failures = 0;
/** @type {number|undefined} */
let timer;

/** @returns {HTMLElement[]} */
function rows() {
  return /** @type {HTMLElement[]} */ ([...(list?.children ?? [])]);
}

function hasActiveRow() {
  return rows().some((row) => isActive(row.dataset.status ?? ''));
}

/** @param {HTMLElement} row @param {Deployment} deployment */
function fillRow(row, deployment) {
  row.dataset.deployment = deployment.deploymentID;
  row.dataset.status = deployment.status;
  row.querySelector('a')?.setAttribute('href', `/deployments/${deployment.deploymentID}`);
  showBadge(row.querySelector('.badge'), deployment.status);
  fill(row, 'number', String(deployment.number));
  fill(row, 'subject', subject(deployment));
  fillOptional(row, 'waiting', deployment.waiting && waitingWords(deployment.waiting));
  fillOptional(row, 'commit', deployment.commit?.slice(0, 7));
  fillOptional(row, 'ref', deployment.ref);
  row.querySelector('[data-field="preview"]')?.toggleAttribute('hidden', deployment.target !== 'preview');
  fill(row, 'duration', span(deployment.startedAt, deployment.finishedAt));
  const time = row.querySelector('time');
  time?.setAttribute('datetime', deployment.createdAt);
  if (time) time.textContent = ago(deployment.createdAt);
}

/** @param {HTMLElement} row @param {string} field @param {string|null|undefined} text */
function fillOptional(row, field, text) {
  row.querySelector(`[data-field="${field}"]`)?.toggleAttribute('hidden', !text);
  fill(row, field, text ?? '');
}

/** Another tab or a push may have started a deployment: it goes on top of the first page only. */
/** @param {Deployment} deployment @param {number} place */
function addRow(deployment, place) {
  const template = document.getElementById('row-template');
  if (!(template instanceof HTMLTemplateElement) || !list) return;
  const row = template.content.firstElementChild?.cloneNode(true);
  if (!(row instanceof HTMLElement)) return;
  fillRow(row, deployment);
  list.insertBefore(row, list.children[place] ?? null);
}

/** @param {Deployment[]} deployments newest first */
function showDeployments(deployments) {
  const known = new Map(rows().map((row) => [row.dataset.deployment, row]));
  const newest = Math.max(0, ...rows().map((row) => Number(row.querySelector('[data-field="number"]')?.textContent)));
  let added = 0;
  for (const deployment of deployments) {
    const row = known.get(deployment.deploymentID);
    if (row) {
      if (row.dataset.status !== deployment.status) announce(deployment);
      fillRow(row, deployment);
    } else if (deployment.number > newest && !isOlderPage) {
      addRow(deployment, added++);
    }
  }
}

/** @param {Deployment} deployment */
function announce(deployment) {
  const place = document.getElementById('announce');
  if (place) place.textContent = `Deployment ${deployment.number}: ${statusName(deployment.status)}`;
}

/** @param {{production: Deployment|null}} project */
function showProduction(project) {
  const deployment = project.production;
  const id = deployment?.deploymentID ?? '';
  for (const row of rows()) {
    row.querySelector('[data-field="live"]')?.toggleAttribute('hidden', !id || row.dataset.deployment !== id);
  }
  if (!live || live.dataset.production === id) return;
  live.dataset.production = id;
  for (const element of live.querySelectorAll('[data-live]')) {
    element.toggleAttribute('hidden', (element.getAttribute('data-live') === 'some') !== Boolean(id));
  }
  if (!deployment) return;
  live.querySelector('[data-field="production"]')?.setAttribute('href', `/deployments/${id}`);
  fill(live, 'number', String(deployment.number));
  fill(live, 'subject', subject(deployment));
  live.querySelector('time')?.setAttribute('datetime', deployment.finishedAt ?? '');
  fill(live, 'finishedAt', ago(deployment.finishedAt ?? ''));
}

/** @param {string|undefined} url */
async function getJSON(url) {
  const response = await fetch(url ?? '', { headers: { Accept: 'application/json' } });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

async function poll() {
  timer = undefined;
  try {
    // Rows first: a row that turned ready is followed by the project that may now show it.
    showDeployments((await getJSON(list?.dataset.listUrl)).items);
    showProduction(await getJSON(list?.dataset.projectUrl));
    failures = 0;
  } catch {
    failures += 1;
  }
  schedule();
}

/** Asks again later, only while something can change and somebody can see it. */
function schedule() {
  if (timer !== undefined || document.hidden || !hasActiveRow()) return;
  timer = window.setTimeout(poll, Math.min(POLL_MS * 2 ** failures, POLL_MAX_MS));
}

if (list) {
  schedule();
  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    timer = undefined;
    if (!document.hidden && hasActiveRow()) poll();
  });
}
