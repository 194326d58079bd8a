// Paints a model's text: paragraphs, headings, lists, tables, code. Every character goes in as text;
// nothing in it becomes markup, and addresses in it do not become links.

const FENCE = /^\s*(```+|~~~+)\s*([\w+#.-]*)/;
const ITEM = /^\s*(?:[-*+]|(\d{1,3})[.)])\s+(.*)$/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const ROW = /^\s*\|/;
const RULE = /^[\s|:-]+$/;
const INLINE = /(`+)([^`]|[^`].*?[^`])\1(?!`)|\*\*(\S(?:.*?\S)?)\*\*/g;

/** Longest block whose code and bold marks are looked for; finding them takes the square of its length. */
const INLINE_MAX = 4_000;

/** What each painted block was painted from. */
const sources = new WeakMap();

/** Paints `text` into `place`, touching only the blocks that differ from what stands there. */
export function paint(place, text) {
  const wanted = blocks(text);
  wanted.forEach((block, at) => {
    const standing = place.children[at];
    if (standing && sources.get(standing) === block.source) return;
    const element = draw(block);
    sources.set(element, block.source);
    if (standing) standing.replaceWith(element);
    else place.append(element);
  });
  while (place.children.length > wanted.length) place.lastElementChild.remove();
}

/** Cuts a text into blocks; a fence that is still open runs to the end. */
export function blocks(text) {
  const found = [];
  let block = null;
  const close = () => {
    if (block) found.push({ ...block, source: `${block.kind}:${block.label ?? ''}:${block.lines.join('\n')}` });
    block = null;
  };
  const add = (kind, line, label) => {
    if (block?.kind !== kind) {
      close();
      block = { kind, label, lines: [] };
    }
    block.lines.push(line);
  };
  let fence = null;
  /** The marks of the headings that the next one may stand under. */
  const above = [];
  for (const line of text.split('\n')) {
    const mark = line.match(FENCE);
    if (fence) {
      if (mark && mark[1].startsWith(fence) && mark[2] === '') {
        fence = null;
        close();
      } else {
        block.lines.push(line);
      }
    } else if (mark) {
      close();
      fence = mark[1];
      block = { kind: 'code', label: mark[2], lines: [] };
    } else if (line.trim() === '') {
      close();
    } else if (HEADING.test(line)) {
      close();
      const [, { length: marks }, title] = line.match(HEADING);
      while (above.at(-1) >= marks) above.pop();
      above.push(marks);
      add('heading', title, above.length);
      close();
    } else if (ITEM.test(line)) {
      add(line.match(ITEM)[1] ? 'steps' : 'points', line);
    } else if (ROW.test(line)) {
      add('rows', line);
    } else if (block && block.kind !== 'text' && /^\s/.test(line)) {
      block.lines[block.lines.length - 1] += ` ${line.trim()}`;
    } else {
      add('text', line);
    }
  }
  close();
  return found;
}

function draw({ kind, label, lines }) {
  if (kind === 'code') return code(label, lines.join('\n'));
  // The page's own headings are above them, and none of theirs is left out on the way down.
  if (kind === 'heading') return inline(element(`h${Math.min(label + 2, 6)}`), lines[0]);
  if (kind === 'rows' && RULE.test(lines[1] ?? '')) return table(lines);
  if (kind === 'text' || kind === 'rows') return inline(element('p'), lines.join('\n'));
  const list = element(kind === 'steps' ? 'ol' : 'ul');
  if (kind === 'steps') list.start = Number(lines[0].match(ITEM)[1]);
  list.append(...lines.map((line) => inline(element('li'), line.match(ITEM)[2])));
  return list;
}

function table([head, , ...body]) {
  const box = element('div', 'table');
  box.tabIndex = 0;
  const inner = box.appendChild(element('table'));
  inner.append(row('th', head), ...body.map((line) => row('td', line)));
  return box;
}

function row(kind, line) {
  const made = element('tr');
  const cells = line.trim().replace(/^\||\|$/g, '').split('|');
  made.append(...cells.map((cell) => inline(element(kind), cell.trim())));
  if (kind === 'th') for (const cell of made.cells) cell.scope = 'col';
  return made;
}

function code(label, text) {
  const box = element('figure', 'code');
  const caption = element('figcaption');
  caption.append(label || 'text');
  const copy = element('button', 'quiet');
  copy.type = 'button';
  copy.textContent = 'Copy';
  copy.dataset.copy = '';
  caption.append(copy);
  const pre = element('pre');
  pre.tabIndex = 0;
  const inner = element('code');
  inner.textContent = text;
  pre.append(inner);
  box.append(caption, pre);
  return box;
}

/** Writes one line into `place`, with its code and bold marks. */
export function inline(place, text) {
  if (text.length > INLINE_MAX) {
    place.append(text);
    return place;
  }
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    place.append(text.slice(from, match.index));
    const part = element(match[1] ? 'code' : 'strong');
    part.textContent = match[2] ?? match[3];
    place.append(part);
    from = match.index + match[0].length;
  }
  place.append(text.slice(from));
  return place;
}

function element(name, className) {
  const made = document.createElement(name);
  if (className) made.className = className;
  return made;
}
