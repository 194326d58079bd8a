// A button that asks before it does what cannot be taken back.

/**
 * Has a button do its work only when it is pressed again, once it has said what that is; where `sure()` has nothing
 * to say, at once. Left, it forgets that it was pressed. Gives a function that has it forget that.
 */
export function twice(button, sure, work) {
  let before;
  const relax = () => {
    if (!before) return;
    button.textContent = before.text;
    if (before.label) button.setAttribute('aria-label', before.label);
    delete button.dataset.sure;
    before = null;
  };
  button.addEventListener('blur', relax);
  button.addEventListener('click', (event) => {
    // The second press of a double click was not meant.
    if (event.detail > 1) return undefined;
    const words = before ? '' : sure();
    if (!words) {
      relax();
      return work(event);
    }
    before = { text: button.textContent, label: button.getAttribute('aria-label') };
    button.textContent = words;
    button.removeAttribute('aria-label');
    button.dataset.sure = 'true';
    // Not every browser does that when it is clicked, and only what has the focus can lose it.
    button.focus();
    return undefined;
  });
  return relax;
}
