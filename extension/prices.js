// Models and their prices: a row for every model without its own price, and one for each that is known.

const WAYS = [
  ['unset', 'As above'],
  ['fixed', 'My own price'],
  ['market', 'Follow the market'],
  ['hour', 'By the hour'],
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
  for (const [way, text] of WAYS) select.add(new Option(way === 'unset' && !model ? 'The relay’s own price' : text, way));
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
  name(line, model || 'Every model');
  name(row(''), rows().length > 1 ? 'Every other model' : 'Every model');
  open(line);
}

function name(line, text) {
  line.setAttribute('aria-label', text);
  line.querySelector('select').setAttribute('aria-label', `How the price of ${text} is set`);
  for (const place of line.querySelectorAll('.name')) place.textContent = text;
}

/** Shows the fields that the chosen way of pricing has. */
function open(line) {
  const way = line.querySelector('select').value;
  const least = way === 'market' ? ', at least' : '';
  for (const side of line.querySelectorAll('.side')) side.hidden = (side.dataset.side === 'hour') !== (way === 'hour');
  line.querySelector('.sides').hidden = way === 'unset';
  line.querySelector('[data-side=input] span').textContent = `Per million prompt tokens${least}`;
  line.querySelector('[data-side=output] span').textContent = `Per million answer tokens${least}`;
}

export function paint({ models, withheld }) {
  for (const model of [...models.map(({ model }) => model), ...withheld]) if (!row(model)) add(model);
  for (const line of rows()) {
    const model = models.find(({ model }) => model === line.dataset.model);
    const cost = line.querySelector('.cost');
    const dollars = model?.cost ? `$${model.cost / 1e6} per million answer tokens` : '';
    cost.dataset.tone = model?.belowCost ? 'warn' : '';
    const text = model?.belowCost
      ? `This price does not cover the power${dollars && `, about ${dollars}`}.`
      : dollars && `The power costs about ${dollars}.`;
    if (cost.textContent !== text) cost.textContent = text;
    const others = line.querySelector('.others');
    const said = market(model?.market);
    if (others.textContent !== said) others.textContent = said;
  }
}

/** Says what others ask for a model, and what today's demand for it would bring. */
function market(market) {
  if (!market) return '';
  const price = ({ input, output }) => `$${input / 1e6} / $${output / 1e6}`;
  const { others, range, requests, hourly } = market;
  const sentences = [
    range
      ? `${others === 1 ? 'One other asks' : `${others} others ask`} ${price(range.lowest)} to ${price(range.highest)}, the median is ${price(range.median)}.`
      : 'Nobody else serves it now.',
    `Asked for ${requests === 1 ? 'once' : `${requests} times`} today.`,
  ];
  if (hourly && Number(hourly) > 0) sentences.push(`An equal share of that would bring about $${Number(Number(hourly).toPrecision(2))} an hour before the fee.`);
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
