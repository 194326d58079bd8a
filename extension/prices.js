// Models and their prices: a row for every model without its own price, and one for each that is known.

import { micros, usd, write } from './figures.js';
import { say, sayMany } from './words.js';

const WAYS = [
  ['unset', 'options_way_above'],
  ['fixed', 'options_way_fixed'],
  ['market', 'options_way_market'],
  ['hour', 'options_way_hour'],
];
const list = document.getElementById('prices');
const rows = () => [...list.children];
const row = (model) => rows().find((row) => row.dataset.model === model);

export function show({ price, prices, models }) {
  list.replaceChildren();
  add('', price, true);
  const known = new Set([...Object.keys(prices), ...Object.keys(models.said)]);
  for (const model of known) add(model, prices[model], models.said[model]);
}

/** Adds a row; `offered` is nothing where the owner has said nothing of this model. */
function add(model, price = { way: 'unset', input: '', output: '', hour: '' }, offered) {
  const line = document.getElementById('price-row').content.cloneNode(true).firstElementChild;
  line.dataset.model = model;
  const select = line.querySelector('select');
  for (const [way, key] of WAYS) select.add(new Option(say(way === 'unset' && !model ? 'options_way_relay' : key), way));
  select.value = price.way;
  select.addEventListener('change', () => open(line));
  for (const side of ['input', 'output', 'hour']) line.querySelector(`[data-side=${side}] input`).value = price[side];
  const box = line.querySelector('.offered input');
  line.querySelector('.offered').hidden = !model;
  line.querySelector('.plain').hidden = Boolean(model);
  if (offered !== undefined) line.dataset.said = '';
  box.checked = offered ?? document.querySelector('[data-path="models.new"]').checked;
  box.addEventListener('change', () => (line.dataset.said = ''));
  const error = line.querySelector('.error');
  error.dataset.error = model ? `price:${model}` : 'price';
  error.id = `price-error-${rows().length}`;
  for (const input of line.querySelectorAll('.side input')) {
    input.dataset.field = error.dataset.error;
    input.setAttribute('aria-describedby', error.id);
  }
  list.append(line);
  name(line, model || say('options_every_model'));
  name(row(''), say(rows().length > 1 ? 'options_other_models' : 'options_every_model'));
  open(line);
}

function name(line, text) {
  line.setAttribute('aria-label', text);
  line.querySelector('select').setAttribute('aria-label', say('options_way_of', text));
  for (const place of line.querySelectorAll('.name')) place.textContent = text;
}

/** Shows the fields that the chosen way of pricing has. */
function open(line) {
  const way = line.querySelector('select').value;
  const least = way === 'market';
  for (const side of line.querySelectorAll('.side')) side.hidden = (side.dataset.side === 'hour') !== (way === 'hour');
  line.querySelector('.sides').hidden = way === 'unset';
  line.querySelector('[data-side=input] span').textContent = say(least ? 'options_per_prompt_least' : 'options_per_prompt');
  line.querySelector('[data-side=output] span').textContent = say(least ? 'options_per_answer_least' : 'options_per_answer');
}

export function paint({ models, withheld }) {
  for (const model of [...models.map(({ model }) => model), ...withheld]) if (!row(model)) add(model);
  for (const line of rows()) {
    const model = models.find(({ model }) => model === line.dataset.model);
    const cost = line.querySelector('.cost');
    cost.dataset.tone = model?.belowCost ? 'warn' : '';
    write(cost, power(model ?? {}));
    write(line.querySelector('.others'), market(model?.market));
  }
}

/** Says what the power for a model costs, and whether its price covers it. */
function power({ cost, belowCost }) {
  if (!cost) return belowCost ? say('options_below_cost') : '';
  return say(belowCost ? 'options_below_cost_of' : 'options_power_costs', micros(cost));
}

/** Says what others ask for a model, and what today's demand for it would bring. */
function market(market) {
  if (!market) return '';
  const price = ({ input, output }) => `${micros(input)} / ${micros(output)}`;
  const { others, range, requests, hourly } = market;
  const sentences = [
    range
      ? sayMany('options_market', others, price(range.lowest), price(range.highest), price(range.median))
      : say('options_market_alone'),
    sayMany('options_asked', requests),
  ];
  if (hourly && Number(hourly) > 0) sentences.push(say('options_share', usd(String(Number(Number(hourly).toPrecision(2))))));
  return sentences.join(' ');
}

export function written() {
  const price = (line) => ({
    way: line.querySelector('select').value,
    ...Object.fromEntries(['input', 'output', 'hour'].map((side) => [side, line.querySelector(`[data-side=${side}] input`).value])),
  });
  const single = rows().filter((line) => line.dataset.model);
  const said = single.filter((line) => 'said' in line.dataset);
  return {
    price: price(row('')),
    prices: Object.fromEntries(single.map((line) => [line.dataset.model, price(line)])),
    said: Object.fromEntries(said.map((line) => [line.dataset.model, line.querySelector('.offered input').checked])),
  };
}
