// The list of models to choose from. It looks again by itself, so that it shows who is there now.

import { Relay } from './client/relay.js';
import { inTab } from './kept.js';

/** Asks once at a time: whoever looks again by itself need not try again. */
const relay = new Relay(location.origin, '', 0);

const REFRESH_MS = 10_000;

const TIERS = { low: 'Low', standard: 'Standard', high: 'High', ultra: 'Ultra' };

/**
 * Fills `place` with a radio button per model and keeps it fresh, with the prices and speeds of the tier that is chosen
 * in `tier`; `terms` says what the chosen model costs in it, and how fast it is.
 * `changed` hears `{ chosen, count, reachable, browser }` whenever one of them changes; `browser` says that the chosen
 * model runs in browsers alone.
 */
export function picker({ place, note, tier, terms, changed }) {
  let shown = '';
  let times = {};
  let told = '';
  let models = [];
  let chosen = new URLSearchParams(location.search).get('model') ?? inTab.read('model') ?? '';

  const tell = (count, reachable) => {
    const state = { chosen, count, reachable, browser: models.find(({ id }) => id === chosen)?.browser ?? false };
    const text = JSON.stringify(state);
    if (text !== told) changed(state);
    told = text;
  };

  const showTerms = () => {
    const model = models.find(({ id }) => id === chosen);
    terms.textContent = model ? spoken(model, tier.value) : '';
  };

  const show = () => {
    const text = JSON.stringify([models, times, tier.value]);
    if (text === shown) return;
    shown = text;
    if (!models.some(({ id }) => id === chosen)) chosen = first(models);
    const focused = place.contains(document.activeElement);
    place.replaceChildren(...models.map((model) => row(model, model.id === chosen, tier.value)));
    if (focused) place.querySelector(':checked')?.focus();
    for (const option of tier.options) option.textContent = named(option.value, times[option.value]?.pricePermille);
    showTerms();
  };

  place.addEventListener('change', (event) => {
    chosen = event.target.value;
    inTab.write('model', chosen);
    showTerms();
    tell(place.children.length, true);
  });

  tier.value = inTab.read('tier') ?? 'standard';
  tier.addEventListener('change', () => {
    inTab.write('tier', tier.value);
    show();
  });

  const refresh = async () => {
    try {
      const answer = await relay.json('/api/llm/models');
      models = answer.models.filter(({ kind }) => kind !== 'embedding');
      times = answer.tiers;
      show();
      note.textContent = models.length > 0 ? '' : 'No GPU is connected right now.';
      tell(models.length, true);
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

/** Gives the model that is chosen for who has chosen none: of those that most offer, the one whose answers cost least. */
function first(list) {
  const cost = ({ price }) => Number(price?.output.min ?? 0);
  const [best] = list.toSorted((one, other) => other.providers - one.providers || cost(one) - cost(other));
  return best?.id ?? '';
}

/** Writes a tier with how many times the owner's price it costs. */
function named(tier, permille = 1_000) {
  return permille === 1_000 ? TIERS[tier] : `${TIERS[tier]}, ${permille / 1_000} times the price`;
}

/** Returns what of a model is to be had in a tier. What runs in browsers alone is to be had in the lowest. */
const offered = ({ tiers, browser }, tier) => tiers[browser ? 'low' : tier];

/** Says what a model costs in a tier and how fast it is. */
function spoken(model, tier) {
  const offer = offered(model, tier);
  if (!offer) return `Nobody has shown yet that ${model.id} is quick and reliable enough for this.`;
  const facts = [priced(offer), speed(offer)].filter(Boolean).join(' · ');
  return `${model.id}${model.browser ? ', in a browser and so low' : ''}: ${facts}`;
}

const priced = ({ price }) => `$${range(price.input)} in, $${range(price.output)} out`;

const speed = ({ tokensPerSecond }) => tokensPerSecond > 0 && `${Math.round(tokensPerSecond)} tokens/s`;

function row(model, checked, tier) {
  const label = element('label', 'model');
  const radio = element('input');
  radio.type = 'radio';
  radio.name = 'model';
  radio.value = model.id;
  radio.checked = checked;
  label.append(radio, element('span', 'model-id', model.id));
  label.append(...facts(model, tier).map((text) => element('span', 'fact', text)));
  return label;
}

/** Returns the lines under a model's name: price, who serves it, what it can hold. */
function facts(model, tier) {
  const { context, quantizations, browser } = model;
  const offer = offered(model, tier);
  const many = offer?.providers === 1 ? 'provider' : 'providers';
  const lines = [
    [offer ? priced(offer) : 'Nobody in this quality'],
    offer ? [`${offer.providers} ${many}`, speed(offer)] : [],
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
export function cents(amount) {
  const [dollars, decimals = ''] = amount.split('.');
  return `${dollars}.${decimals.padEnd(2, '0')}`;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
