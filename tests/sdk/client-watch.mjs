// Follows who is on until somebody has come and gone, then stops. Says how many are on whenever that changes, and
// `ok` at the end. Called so: node client-watch.mjs LIBRARY RELAY

const [library, relay] = process.argv.slice(2);
const { GPUStreamingClient } = await import(library);
const stop = new AbortController();
const why = new Error('enough');
const watching = new GPUStreamingClient(relay).watch({ signal: stop.signal });
let on;
let came = false;
try {
  for await (const { providers, totals } of watching) {
    if (providers.length !== on) console.log(`on ${providers.length} ${totals.providers}`);
    on = providers.length;
    came ||= on > 0;
    if (came && on === 0) stop.abort(why);
  }
  console.log('it ended without a reason');
} catch (error) {
  const { done } = await watching.next();
  console.log(error === why && done ? 'ok' : `${error.stack}, ${done}`);
}
