// What the owner may do with what is kept: take it along, show it to a helper, delete it.

import { archive } from './pkg/agent.js';
import { say, sayMany } from './words.js';

const $ = (id) => document.getElementById(id);

export function listen() {
  $('export').addEventListener('click', save);
  $('copy-log').addEventListener('click', copy);
  $('erase').addEventListener('click', () => $('sure').showModal());
  $('sure').addEventListener('close', () => $('sure').returnValue === 'erase' && erase());
}

async function save() {
  const text = archive(JSON.stringify(await chrome.storage.local.get()), $('secrets').checked);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  link.download = 'rekursing.json';
  link.click();
  URL.revokeObjectURL(link.href);
  tell(say($('secrets').checked ? 'options_exported_secrets' : 'options_exported'));
}

async function copy() {
  await chrome.runtime.sendMessage({ type: 'wake' });
  const journal = await chrome.runtime.sendMessage({ type: 'journal' });
  await navigator.clipboard.writeText(journal);
  tell(sayMany('options_copied', journal.split('\n').length - 1));
}

async function erase() {
  await chrome.runtime.sendMessage({ type: 'erase' });
  location.reload();
}

function tell(text) {
  $('data-outcome').textContent = text;
}
