// What answers cost whose end no page has seen: their receipts tell.

import { Relay } from './client/relay.js';
import { dollars, nanos } from './conversations.js';

/** How often it is looked for the end of a job, and how long it is waited between, in milliseconds. */
const LOOKS = 10;
const PAUSE_MS = 1_000;

/** Finds out with a key what the jobs of an answer cost: `{cost, endedAt}`; nothing where no receipt tells. */
export async function charge(jobs, key) {
  const relay = new Relay(location.origin, key, 0);
  let cost = 0n;
  let endedAt = 0;
  for (const job of jobs) {
    const receipt = await ended(relay, job).catch(() => null);
    if (!receipt) return null;
    cost += nanos(receipt.charge);
    endedAt = Math.max(endedAt, receipt.endedAt);
  }
  return { cost: dollars(cost).slice(1), endedAt };
}

async function ended(relay, job) {
  for (let look = 0; look < LOOKS; look += 1) {
    const receipt = await relay.json(`/api/jobs/${encodeURIComponent(job)}/receipt`);
    if (receipt.state !== 'open') return receipt;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return null;
}
