/** The buttons above the log. Each is a toggle or says what it did. */

import { count } from '../format.js';
import { copyText } from './copy.js';
import { findFirstError } from './errors.js';
import { readSetting, writeSetting } from './settings.js';

/**
 * @param {HTMLElement} root
 * @param {import('./model.js').LogModel} model
 * @param {import('./view.js').LogView} view
 * @param {import('./note.js').Note} note
 * @returns {{follow: () => void, wrap: () => void, times: () => void, copy: () => void, error: () => void, full: () => void, leave: () => void, help: () => void}}
 */
export function setUpTools(root, model, view, note) {
  const button = (/** @type {string} */ id) => /** @type {HTMLButtonElement} */ (root.querySelector(`#${id}`));
  const settings = { wrap: readSetting('wrap', true), times: readSetting('times', false) };
  const dialog = /** @type {HTMLDialogElement} */ (root.querySelector('#log-keys'));

  const layOut = () => {
    view.setLayout(settings.wrap, settings.times);
    button('log-wrap').setAttribute('aria-pressed', String(settings.wrap));
    button('log-timestamps').setAttribute('aria-pressed', String(settings.times));
  };
  const toggle = (/** @type {'wrap'|'times'} */ name) => () => {
    settings[name] = !settings[name];
    writeSetting(name, settings[name]);
    layOut();
  };
  const fill = (/** @type {boolean} */ fills) => {
    if (root.classList.contains('fills') === fills) return;
    view.resize(() => {
      root.classList.toggle('fills', fills);
      document.documentElement.classList.toggle('filled', fills);
    });
    button('log-full').setAttribute('aria-pressed', String(fills));
  };
  const actions = {
    follow: () => view.follower.set(!view.follower.following),
    wrap: toggle('wrap'),
    times: toggle('times'),
    copy: async () => {
      const copied = await copyText(model.text());
      note.say(copied ? `${count(model.lineCount, 'line')} copied.` : 'The browser copied nothing. Download the log instead.');
    },
    error: () => {
      const index = findFirstError(model);
      if (index >= 0) return view.reveal(index);
      note.say('No line of the log speaks of an error.');
    },
    // The window rather than the screen: that works on every phone, and Escape is the page's own key.
    full: () => fill(!root.classList.contains('fills')),
    leave: () => fill(false),
    help: () => dialog.showModal(),
  };
  button('log-follow').addEventListener('click', actions.follow);
  button('log-wrap').addEventListener('click', actions.wrap);
  button('log-timestamps').addEventListener('click', actions.times);
  button('log-copy').addEventListener('click', actions.copy);
  button('log-error').addEventListener('click', actions.error);
  button('log-full').addEventListener('click', actions.full);
  button('log-help').addEventListener('click', actions.help);
  // A press beside the list closes it.
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  layOut();
  return actions;
}
