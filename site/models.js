// The list of models to choose from. It looks again by itself, so that it shows who is there now.

import { GPUStreamingClient } from './client/index.js';

/** Asks once at a time: whoever looks again by itself need not try again. */
const client = new GPUStreamingClient(location.origin, { patience: 0 });

const REFRESH_MS = 10_000;

/**
 * Fills `place` with a radio button per model and keeps it fresh.
 * `changed` hears `{ chosen, count, reachable, browser }` whenever one of them changes; `browser` says that the chosen
 * model runs in browsers alone.
 */
export function picker({ place, note, changed }) {
  let shown = '';
  let told = '';
  let models = [];
  let chosen = new URLSearchParams(location.search).get('model') ?? sessionStorage.getItem('model') ?? '';

  const tell = (count, reachable) => {
    const state = { chosen, count, reachable, browser: models.find(({ id }) => id === chosen)?.browser ?? false };
    const text = JSON.stringify(state);
    if (text !== told) changed(state);
    told = text;
  };

  const show = (list) => {
    models = list;
    const text = JSON.stringify(list);
    if (text === shown) return;
    shown = text;
    if (!list.some(({ id }) => id === chosen)) chosen = list[0]?.id ?? '';
    const focused = place.contains(document.activeElement);
    place.replaceChildren(...list.map((model) => row(model, model.id === chosen)));
    if (focused) place.querySelector(':checked')?.focus();
  };

  place.addEventListener('change', (event) => {
    chosen = event.target.value;
    sessionStorage.setItem('model', chosen);
    tell(place.children.length, true);
  });

  const refresh = async () => {
    try {
      const list = (await client.models()).filter(({ kind }) => kind !== 'embedding');
      show(list);
      note.textContent = list.length > 0 ? '' : 'No GPU is connected right now.';
      tell(list.length, true);
    } catch {
      note.textContent = 'The relay does not answer. This page keeps trying.';
      tell(0, false);
    }
  };

  const beat = async () => {
    if (!document.hidden) await refresh();
    setTimeout(beat, REFRESH_MS);
  };
  document.addEventListener('visibilitychange', () => document.hidden || refresh());
  beat();
  return { refresh };
}

function row(model, checked) {
  const label = element('label', 'model');
  const radio = element('input');
  radio.type = 'radio';
  radio.name = 'model';
  radio.value = model.id;
  radio.checked = checked;
  label.append(radio, element('span', 'model-id', model.id));
  label.append(...facts(model).map((text) => element('span', 'fact', text)));
  return label;
}

/** Returns the lines under a model's name: price, who serves it, what it can hold. */
function facts({ price, providers, tokensPerSecond, context, quantizations, browser }) {
  const lines = [
    [price && `$${range(price.input)} in, $${range(price.output)} out`],
    [
      `${providers} ${providers === 1 ? 'provider' : 'providers'}`,
      tokensPerSecond > 0 && `${Math.round(tokensPerSecond)} tokens/s`,
    ],
    [
      context > 0 && `${context >= 1024 ? `${Math.floor(context / 1024)}k` : context} context`,
      quantizations?.join(', '),
      browser && 'in a browser, tier low',
    ],
  ];
  return lines.map((line) => line.filter(Boolean).join(' · ')).filter(Boolean);
}

function range({ min, max }) {
  return min === max ? cents(min) : `${cents(min)}–${cents(max)}`;
}

/** Gives a decimal number of dollars at least two decimals; the digits stay as the relay wrote them. */
function cents(amount) {
  const [dollars, decimals = ''] = amount.split('.');
  return `${dollars}.${decimals.padEnd(2, '0')}`;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
