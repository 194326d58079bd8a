// What was asked with the account, by day and model, and by key.

import { bar, day, fill, make, usd } from './write.js';

const $ = (id) => document.getElementById(id);
let lines = { all: [], byKey: [] };

/** Shows the account's usage. */
export function showUsage({ usage, usageByKey }, keys) {
  lines = { all: usage, byKey: usageByKey };
  const chosen = $('usage-of').value;
  const used = keys.filter(({ prefix }) => usageByKey.some(({ key }) => key === prefix));
  const options = [['', 'All keys'], ...used.map(({ prefix, name }) => [prefix, name || `${prefix}…`])];
  $('usage-of').replaceChildren(...options.map(([value, text]) => Object.assign(make('option', text), { value })));
  $('usage-of').value = used.some(({ prefix }) => prefix === chosen) ? chosen : '';
  show();
}

$('usage-of').addEventListener('change', show);

function show() {
  const of = $('usage-of').value;
  const shown = of === '' ? lines.all : lines.byKey.filter(({ key }) => key === of);
  $('no-usage').hidden = shown.length > 0;
  $('usage-shown').hidden = shown.length === 0;
  const most = Math.max(0, ...shown.map(({ spent }) => Number(spent)));
  fill($('usage'), shown.toSorted((one, other) => other.day - one.day).map((line) => [
    day(line.day), line.model, line.jobs, line.promptTokens + line.answerTokens, bar(usd(line.spent), Number(line.spent), most),
  ]));
}
