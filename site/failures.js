// Says in plain words why there is no answer, and what whoever asked can do about it.

const OTHER_MODEL = 'or choose another model';

/** By the code of the relay or of the client library. */
const WORDS = {
  // The computers that answer, and their owners.
  provider_failed: 'Something failed at the computer that took your question. Ask again, and another one may take it; or choose another model.',
  no_provider: 'No GPU is connected right now. Ask again in a moment: models come back by themselves.',
  model_not_found: 'Nobody offers this model any more. Choose another one under Model.',
  provider_unavailable: 'Whoever you want to ask is not there at the moment. Ask again later, or ask anybody.',
  provider_paused: `Everybody who offers this model has paused. Ask again later, ${OTHER_MODEL}.`,
  provider_untrusted: `Everybody who offers this model has failed too often of late. Ask again later, ${OTHER_MODEL}.`,
  only_own_provider: 'Only your own computers offer this model, and nobody is paid for answering himself. Choose another model.',
  queue_full: `Everybody is busy, and others wait already. Ask again in a minute, ${OTHER_MODEL}.`,
  queue_timeout: `Nobody became free in time. Ask again, ${OTHER_MODEL}.`,
  group_only: 'This model is offered to a group of friends alone. Enter the key of an account that is in it, or choose another model.',
  not_verified: 'This model is offered to accounts that have paid in. Enter the key of one, or choose another model.',
  topic_refused: 'Nobody who offers this model answers questions about this. Choose another model, or ask something else.',

  // What was asked for.
  bad_request: 'The question was refused as it stands. Write it differently, or choose another model.',
  context_too_long: 'This conversation is too long for the model. Begin a new one, or choose a model with a larger context.',
  too_large: 'This conversation is too long to be sent. Begin a new one.',
  wrong_kind: 'This model writes no texts. Choose another one under Model.',
  vision_unavailable: 'This model understands no images. Choose another one.',
  tier_unavailable: 'Nobody who is connected has reached this quality. Choose a lower one under Quality, and ask again.',
  quantization_unavailable: 'The model is not offered in this form. Choose another one under Model.',
  too_slow: 'Nobody is as fast as you want. Choose another model.',
  too_late: 'Nobody can answer as soon as you want. Ask again later, or choose another model.',
  collection_denied: 'Only computers of their owners are left, and they may keep what you write. Choose another model.',
  off_objective: 'This key answers only what its projects are about. Ask for that, or enter another key.',

  // Money.
  price_too_high: 'Everybody asks for more than is usual. Pay it, or choose another model or a lower quality.',
  /** The same to whoever pays nothing. */
  price_not_free: 'Free answers take only cheap offers, and everybody who can answer this asks for more. With an API key you can pay it; or choose another model or a lower quality.',
  cost_too_high: 'This answer may cost more than is allowed. Ask for something shorter, or choose a cheaper model.',
  insufficient_funds: 'The balance does not cover what this answer may cost. Pay in on the account’s page, or choose a cheaper model.',
  key_budget_day: 'The key has not enough left for today. It has more at midnight UTC; or choose a cheaper model, or enter another key.',
  key_budget_total: 'The key has not enough left. Choose a cheaper model, or enter another key.',
  key_model: 'The key may not ask this model. Choose one that it may ask, or enter another key.',
  key_price: 'Everybody asks for more than the key pays. Choose another model, or enter another key.',
  free_quota_used: 'You have had today’s free answers. Enter an API key to go on now, or come back after midnight UTC.',
  free_visitors_full: 'Too many visitors have had free answers today. Come back tomorrow, or enter an API key.',
  free_budget_empty: 'There is not enough money for free answers at the moment. Choose a cheaper model, come back later, or enter an API key.',
  free_not_covered: 'This free answer would cost more than there is for it. Choose a cheaper model, or enter an API key.',
  invalid_api_key: 'The relay does not know this API key. Correct it, or take it out and ask for a free answer.',
  api_key_expired: 'This API key is over. Enter another one, or take it out and ask for a free answer.',

  // The relay, and the way to it.
  rate_limited: 'Too many questions come from your network. Wait a minute, and ask again.',
  switched_off: 'The operator of this relay has switched this off for now. Come back later.',
  draining: 'The relay is about to restart. Ask again in a minute.',
  overloaded: 'The relay has more to do than it can. Ask again in a moment.',
  store_unavailable: 'The relay cannot write down what an answer costs, so it takes no questions. Ask again later.',
  book_wrong: 'The relay takes no questions until its operator has looked at its accounts. Come back later.',
  internal: 'Something failed at the relay. Ask again; if it fails again, come back later.',
  timeout: 'Your question did not arrive in time. Look after your connection, and ask again.',
  unreachable: 'The relay could not be reached. Look after your connection, and ask again.',
  cut: 'The connection broke before the answer was complete. Ask again.',
  malformed: 'The relay said something that this page does not understand. Load the page again, and ask again.',
  idempotency_answer_gone: 'The connection broke, and the rest of the answer is not there any more. Ask again.',
  idempotency_running: 'The connection broke, and the answer is still being made. Ask again in a moment.',
  idempotency_key_reused: 'The relay takes this question for another one. Ask again.',
  duplicate_job: 'The relay takes this question for another one. Ask again.',
  origin_not_allowed: 'This page may not ask this relay. Open the relay’s own address.',
  not_found: 'This page is older than the relay. Load it again, and ask again.',
};

/** Where the relay's own sentence holds more than ours: a figure, a name, or what the model server says. */
const TOLD = new Set([
  'bad_request', 'context_too_long', 'cost_too_high', 'insufficient_funds', 'key_budget_day', 'key_budget_total', 'key_model',
  'key_price', 'off_objective', 'price_not_free', 'price_too_high', 'provider_failed', 'quantization_unavailable', 'switched_off',
  'too_late', 'too_slow', 'topic_refused',
]);

/** Gives the sentence for an error, and the relay's own where that says more. `begun` tells that part of the answer is there. */
export function words({ code, message = '' }, begun) {
  if (code === 'provider_failed' && begun) {
    return ['Something failed at the computer that was answering. Ask again for a whole answer.', ''];
  }
  const own = WORDS[code];
  if (!own) return [message || 'There is no answer. Ask again.', ''];
  return [own, TOLD.has(code) ? message : ''];
}
