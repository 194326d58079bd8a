// Lets somebody in: a form asks for a key or a token, which stays in this tab.

import { inTab } from './kept.js';

const $ = (id) => document.getElementById(id);

/** Shows the form `#enter` until `open` succeeds with what was typed, which is kept under `name`. */
export function door(name, open) {
  const show = (inside) => {
    $('enter').hidden = inside;
    $('inside').hidden = !inside;
    $('leave').hidden = !inside;
  };
  const enter = async () => {
    $('enter-outcome').textContent = '';
    try {
      await open();
      show(true);
    } catch ({ message }) {
      show(false);
      $('enter-outcome').textContent = message;
    }
  };
  $('enter').addEventListener('submit', (event) => {
    event.preventDefault();
    inTab.write(name, $('key').value.trim());
    enter();
  });
  $('leave').addEventListener('click', () => {
    inTab.remove(name);
    $('key').value = '';
    show(false);
    $('key').focus();
  });
  // Before this the button would do nothing.
  $('enter').querySelector('[type=submit]').disabled = false;
  if (inTab.read(name)) enter();
}
