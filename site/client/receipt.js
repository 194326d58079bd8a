// Checks a receipt's signature. docs/ledger.md has the text that is signed.

import { RekursingError, hex } from './relay.js';

const JOB = 'jobId state paidBy hold.at hold.amount hold.price hold.promptTokens hold.answerTokens charge givenBack endedAt';
const SETTLEMENT =
  'model provider lease tierAsked tier ask price promptTokens answerTokens discount fee earned heldBack releaseAt ad rates';

const PRICE = ['input', 'output'];
const PARTS = {
  price: PRICE,
  ask: PRICE,
  ad: ['impression', 'campaign', 'perImpression', 'perClick'],
  rates: ['tier', 'fee', 'discount', 'holdback'],
};

// Older receipts have no such lines.
const OPTIONAL = ['givenBack', 'rates'];

export async function verify(receipt, keys) {
  if (!globalThis.crypto?.subtle) {
    throw new RekursingError('unverifiable', 'Signatures can be checked over HTTPS alone.');
  }
  const { signature, ...signed } = receipt ?? {};
  const bytes = new TextEncoder().encode(text(signed));
  for (const key of keys) {
    const raw = unhex(key);
    const id = hex(new Uint8Array(await crypto.subtle.digest('SHA-256', raw)).slice(0, 8));
    if (id !== signature?.key) continue;
    const imported = await crypto.subtle.importKey('raw', raw, 'Ed25519', false, ['verify']);
    if (await crypto.subtle.verify('Ed25519', imported, unhex(signature.value), bytes)) return;
  }
  throw bad();
}

function text(receipt) {
  let used = 0;
  const leaf = (value) => {
    if (value === undefined || value === null) return '';
    if (typeof value === 'object') throw bad();
    used += 1;
    return String(value);
  };
  const line = (of, path) => {
    const name = path.split('.').pop();
    const value = path.split('.').reduce((inner, step) => inner?.[step], of);
    if (OPTIONAL.includes(name) && value === undefined) return '';
    const written = PARTS[name] && value ? PARTS[name].map((part) => leaf(value[part])).join('/') : leaf(value);
    return `${path}=${new TextEncoder().encode(written).length}:${written}\n`;
  };
  const lines = [
    ...JOB.split(' ').map((path) => line(receipt, path)),
    ...SETTLEMENT.split(' ').map((path) => line(receipt.settlement, path)),
  ];
  // Something is there that is not signed.
  if (used !== leaves(receipt)) throw bad();
  return `rekursing-receipt-v${receipt.givenBack === undefined ? 1 : 2}\n${lines.join('')}`;
}

function leaves(value) {
  if (value === undefined || value === null) return 0;
  return typeof value === 'object' ? Object.values(value).reduce((sum, inner) => sum + leaves(inner), 0) : 1;
}

export function bad() {
  return new RekursingError('bad_receipt', 'This is not the receipt that the relay has signed.');
}

function unhex(text) {
  if (!/^([0-9a-f]{2})+$/.test(text)) throw bad();
  return Uint8Array.from(text.match(/../g), (digits) => parseInt(digits, 16));
}
