/** A code of the relay's, as in the table at the end of docs/http.md. */
export type RelayCode =
  | 'account_not_found'
  | 'account_only'
  | 'ad_over'
  | 'ad_too_soon'
  | 'already_paired'
  | 'answer_too_large'
  | 'api_key_expired'
  | 'bad_request'
  | 'bad_signature'
  | 'bid_below_floor'
  | 'book_wrong'
  | 'budget_spent'
  | 'campaign_not_found'
  | 'cancelled'
  | 'channel_not_found'
  | 'collection_denied'
  | 'context_too_long'
  | 'corrected_before'
  | 'correction_uncovered'
  | 'cost_too_high'
  | 'device_keys_refused'
  | 'dispute_not_found'
  | 'dispute_open'
  | 'dispute_state'
  | 'disputed_before'
  | 'draining'
  | 'earnings_left'
  | 'entry_not_found'
  | 'follows_too_many'
  | 'free_budget_empty'
  | 'free_not_covered'
  | 'free_quota_used'
  | 'free_visitors_full'
  | 'group_full'
  | 'group_not_found'
  | 'group_only'
  | 'group_price_changed'
  | 'idempotency_answer_gone'
  | 'idempotency_key_reused'
  | 'idempotency_running'
  | 'in_group'
  | 'in_team'
  | 'insufficient_funds'
  | 'internal'
  | 'invalid_api_key'
  | 'invalid_phone'
  | 'invalid_secret'
  | 'invalid_signature'
  | 'job_not_found'
  | 'key_budget_day'
  | 'key_budget_total'
  | 'key_has_limits'
  | 'key_line_too_long'
  | 'key_model'
  | 'key_not_found'
  | 'key_price'
  | 'key_revoked'
  | 'method_not_allowed'
  | 'model_not_found'
  | 'no_provider'
  | 'no_word'
  | 'not_booked'
  | 'not_connected'
  | 'not_correctable'
  | 'not_creator'
  | 'not_disputable'
  | 'not_ended'
  | 'not_found'
  | 'not_in_group'
  | 'not_in_team'
  | 'not_verified'
  | 'off_objective'
  | 'only_own_provider'
  | 'operator_only'
  | 'origin_not_allowed'
  | 'other_visitor'
  | 'overloaded'
  | 'payment_service_failed'
  | 'payout_account_only'
  | 'payout_held'
  | 'payout_method_missing'
  | 'payout_not_found'
  | 'payout_not_sent'
  | 'payout_rail_differs'
  | 'payout_under_way'
  | 'phone_not_found'
  | 'plugin_not_found'
  | 'premium_costs_more'
  | 'premium_not_offered'
  | 'price_too_high'
  | 'project_not_found'
  | 'provider_failed'
  | 'provider_paused'
  | 'provider_unavailable'
  | 'provider_untrusted'
  | 'quantization_unavailable'
  | 'queue_full'
  | 'queue_timeout'
  | 'rate_limited'
  | 'steering_off'
  | 'store_unavailable'
  | 'switched_off'
  | 'team_full'
  | 'team_name_taken'
  | 'team_not_earned'
  | 'tier_unavailable'
  | 'timeout'
  | 'too_large'
  | 'too_late'
  | 'too_many_campaigns'
  | 'too_many_disputes'
  | 'too_many_groups'
  | 'too_many_keys'
  | 'too_many_payouts'
  | 'too_many_phones'
  | 'too_many_plugins'
  | 'too_many_projects'
  | 'too_slow'
  | 'top_ups_not_set_up'
  | 'topic_refused'
  | 'unsupported_media_type'
  | 'upgrade_required'
  | 'vision_unavailable'
  | 'wrong_code'
  | 'wrong_kind'
  | 'wrong_pairing_code';

/**
 * A code of this library's own: the relay could not be reached, the connection broke, what came cannot be
 * read, the receipt is not as it was signed, or signatures cannot be checked in this place.
 */
export type OwnCode = 'unreachable' | 'cut' | 'malformed' | 'bad_receipt' | 'unverifiable';

/** What was not answered, or not to its end: a stable code, and a sentence for the reader as `message`. */
export class RekursingError extends Error {
  name: 'RekursingError';
  /** Stable, for programs; `http_502` and the like where a proxy answered in the relay's place. */
  code: RelayCode | OwnCode | `http_${number}`;
  /** The answer's status; left out where there was none, and of the event `error` in a stream. */
  status?: number;
  /** The field at fault. */
  field?: string;
  /** What an earlier call of the same name has made. */
  id?: string;
  /** The lowest price on offer, in dollars per million tokens, where everybody asks for more than is paid: what `maxPrice` may name. */
  price?: { input: Dollars; output: Dollars };
  /** In how many seconds the same call may succeed. */
  retryAfter?: number;
  /** The job that broke off in a stream, what of it was delivered, and what that cost. */
  jobId?: string;
  usage?: Usage;
  cost?: string;
}

/** Decimal US dollars, such as `"0.0000069"`; never a float. */
export type Dollars = string;

export type Quality = 'low' | 'standard' | 'high' | 'ultra';

export interface ClientOptions {
  /** An API key, `rk_…`. Without one the answer is paid out of the operator's budget for free answers. */
  key?: string;
  /**
   * For how many milliseconds a call is tried again without getting anywhere, from when on its connection is found
   * broken or the relay says `Retry-After`. A longer `Retry-After` is not waited for. 20,000 if left out; 0 is never.
   */
  patience?: number;
  /** Public keys of the relay in hex, to check receipts with in place of those that it publishes. */
  receiptKeys?: string[];
}

/** What an answer must be like. The other fields of `POST /api/llm/inference` may be added. */
export interface Wishes {
  /** A model's name; left out or `"auto"`: the best there is. */
  model?: string;
  /** The tier. With `"auto"` the relay chooses it, and the model where none is named, and says why in `choice`. */
  quality?: Quality | 'auto';
  /** With `"auto"`: what counts as value. `"balanced"` if left out. */
  objective?: 'balanced' | 'quality' | 'speed' | 'cost' | { quality?: number; speed?: number };
  /** With `"auto"`: milliseconds within which the whole answer is to be expected. */
  deadline?: number;
  /** What it must be close to, or it is refused with `off_objective` before anything is set aside. Needs a key. */
  objectives?: { project: string; threshold: number; method?: 'auto' | 'embeddings' | 'lexical' };
  maxTokens?: number;
  /** Highest price in US dollars per million tokens. */
  maxPrice?: Dollars | number | { input?: Dollars | number; output?: Dollars | number };
  /** Most that the answer may cost, in US dollars. */
  maxCost?: Dollars | number;
  /** Slowest measured speed, in tokens per second. */
  minTps?: number;
  quantizations?: string[];
  [field: string]: unknown;
}

export interface Options extends Wishes {
  /** Stops the answer: its job is cancelled, and what was delivered is charged. */
  signal?: AbortSignal;
}

export interface Message {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  content: string | object[] | null;
  [field: string]: unknown;
}

export interface Provider {
  id: string;
  name: string;
  gpu: string;
  model: string;
  quantization: string;
  /** Whether the model runs in the owner's browser, without a model server. */
  browser: boolean;
}

export interface Usage {
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
}

/** The ad beside a free answer; see `RekursingAd`. */
export interface Ad {
  title: string;
  text: string;
  /** Whole, and at the relay, which counts the click and leads on. */
  link: string;
  site: string;
  /** `"Sponsored"` */
  label: string;
  why: string;
  impressionToken: string;
}

/** What the relay chose with `quality: "auto"`. */
export interface Choice {
  model: string;
  tier: Quality;
  expectedCost: Dollars;
  expectedSeconds: number;
  /** Sentences for a reader. */
  reasons: string[];
}

interface Jobs {
  choice?: Choice;
  /** How close what was asked is to what it had to be close to. */
  objectives?: { project: string; score: number; threshold: number; method: 'embeddings' | 'lexical'; cost: Dollars }[];
  /** The job of each part, where more than one provider has made the answer. */
  jobs?: string[];
  /** What opens the receipt of a free answer. */
  receiptToken?: string;
  receiptTokens?: string[];
}

interface Begun extends Jobs {
  jobId: string;
  model: string;
  tier: Quality;
  provider: Provider;
}

interface Done extends Jobs {
  jobId: string;
  tier: Quality;
  usage: Usage;
  cost: Dollars;
  tokensPerSecond: number | null;
  firstTokenMs: number;
  finishReason: string;
}

export type StreamEvent =
  /** Somebody answers; and somebody goes on, where the one before has left. */
  | ({ type: 'start' | 'continued' } & Begun)
  | { type: 'token'; text: string }
  /** More than text: tool calls, reasoning, logprobs, as the model server sent them. */
  | { type: 'chunk'; choices: { index: number; delta?: Record<string, unknown>; [field: string]: unknown }[] }
  | { type: 'ad'; ad: Ad }
  /** The last. */
  | ({ type: 'done' } & Done);

export interface Answer extends Done {
  /** The text. */
  result: string;
  /** The tools that the model calls, with arguments as it wrote them: text that is not sure to be JSON. */
  toolCalls: { id?: string; type: 'function'; function: { name: string; arguments: string } }[];
  model: string;
  provider: Provider;
  ad: Ad | null;
}

interface Span {
  min: Dollars;
  max: Dollars;
}

export interface Model {
  id: string;
  kind: 'text' | 'embedding';
  providers: number;
  /** Per million tokens, in the standard tier. */
  price: { input: Span; output: Span };
  /** The highest measured. */
  tokensPerSecond: number | null;
  context: number;
  quantizations: string[];
  vision: boolean;
  tools: boolean;
  /** Whether all who serve it run it in a browser: it is then to be had as `low` alone. */
  browser: boolean;
  slotsFree: number;
  /** How the streamed answers of the last 30 minutes came; null where none was measured. */
  pace: null | {
    answers: number;
    firstTokenMs: { p50: number; p99: number };
    tokensPerSecond: { p50: number; p99: number };
  };
  /** In how many thousandths of the minutes it could be asked for. */
  uptime: { fiveMinutes: number; day: number | null; thirtyDays: number | null };
  /** What of it is to be had in each tier; null where nobody has shown what the tier asks for. */
  tiers: Record<'low' | 'standard' | 'high' | 'ultra', null | {
    providers: number;
    price: { input: Span; output: Span };
    tokensPerSecond: number | null;
  }>;
}

/** Who is on. */
export interface Live {
  totals: { providers: number; slots: number; jobsRunning: number; jobsWaiting: number; jobsCompleted: number };
  providers: {
    pluginId: string;
    name: string;
    gpu: string | null;
    gpuClass: string | null;
    models: {
      id: string;
      quantization: string;
      context: number;
      loaded: boolean;
      /** Whether it runs in a browser: of the lowest tier alone. */
      browser: boolean;
      /** What the owner asks per million tokens. */
      price: { input: Dollars; output: Dollars };
      tokensPerSecond: number | null;
    }[];
    slots: number;
    paused: boolean;
    /** Since when it is connected. */
    since: number;
    /** How it is doing; null where its owner has opened no channel. */
    channel: null | {
      jobsNow: number;
      tokensPerSecondNow: number;
      jobs: number;
      answerTokens: number;
      successPermille: number;
      /** What thumbs say of its answers; null where too few have said anything. */
      quality: null | { permille: number; voices: number };
    };
  }[];
}

/** Micro-dollars per million tokens. */
interface Price {
  input: number;
  output: number;
}

/** What a job cost and who earned it, signed by the relay; docs/ledger.md says what each field means. */
export interface Receipt {
  jobId: string;
  state: 'open' | 'settled' | 'void';
  paidBy: 'account' | 'free';
  hold: { at: number; amount: Dollars; price: Price; promptTokens: number; answerTokens: number };
  charge: Dollars;
  givenBack?: Dollars;
  endedAt: number | null;
  settlement: null | {
    model: string;
    provider: string;
    lease: number;
    tierAsked: Quality;
    tier: Quality;
    ask: Price;
    price: Price;
    promptTokens: number;
    answerTokens: number;
    discount: Dollars;
    fee: Dollars;
    earned: Dollars;
    heldBack: Dollars;
    releaseAt: number | null;
    ad: null | { impression: string; campaign: string; perImpression: Dollars; perClick: Dollars };
    rates?: { tier: number; fee: number; discount: number; holdback: number };
  };
  signature: { key: string; value: string };
}

/** Asks a relay. */
export class GPUStreamingClient {
  /** @param url The relay's address, such as `https://rekursing.com`. */
  constructor(url: string | URL, options?: ClientOptions);

  /**
   * Says who asks from here on, as `user` in each request. The relay keeps it nowhere and passes it on to nobody.
   * What opens the receipts of whoever asked before is forgotten.
   */
  setUserId(id: string | undefined): void;

  /** Asks, and returns the whole answer. Throws a `RekursingError`, or the signal's reason. */
  requestInference(prompt: string | Message[], model?: string, options?: Options): Promise<Answer>;

  /**
   * Asks, and yields the answer as it comes. When the connection breaks, or says nothing for 45 seconds, it goes on
   * where it was, without a lost or doubled token. Leaving the loop, like the signal, cancels the job. Throws a `RekursingError` where there is
   * no answer, or not to its end, or the signal's reason.
   */
  stream(messages: string | Message[], options?: Options): AsyncGenerator<StreamEvent, void, undefined>;

  /** Stops a job; its stream then ends with the code `cancelled` and what was charged. */
  cancel(jobId: string): Promise<void>;

  /** Returns what can be asked for now. */
  models(options?: { signal?: AbortSignal }): Promise<Model[]>;

  /** Returns who is on now. */
  live(options?: { signal?: AbortSignal }): Promise<Live>;

  /** Yields who is on, whole, whenever something has changed; once a second at most. */
  watch(options?: { signal?: AbortSignal }): AsyncGenerator<Live, never, undefined>;

  /**
   * Returns a job's receipt, checked. Of a free answer `token` is its `receiptToken`, which the client remembers
   * of the latest hundred that it has asked for. Throws `bad_receipt` where the relay has not signed it so.
   */
  receipt(jobId: string, options?: { token?: string; signal?: AbortSignal }): Promise<Receipt>;

  /**
   * Says whether an answer was a good one; a later word takes the place of an earlier one. Of a free answer `token` is
   * as with `receipt`.
   */
  rate(jobId: string, up: boolean, options?: { token?: string; signal?: AbortSignal }): Promise<void>;
}

/**
 * Returns if one of these public keys, in hex digits, has signed all that is in the receipt. Throws a
 * `RekursingError` with the code `bad_receipt` if not, or if something was added that is not signed.
 */
export function verifyReceipt(receipt: Receipt, keys: string[]): Promise<void>;

/**
 * `<rekursing-ad>`: shows the ad that it is given as `ad`, with its label and the reason, and tells the relay once
 * half of it was visible for a second without a break. That is tried within the usual patience, and nobody hears of
 * it if it fails. Without an ad, or with one whose link leads to no page, it is hidden. Where there is no document,
 * it cannot be made.
 */
export class RekursingAd extends HTMLElement {
  get ad(): Ad | null;
  set ad(ad: Ad | null | undefined);
}

declare global {
  interface HTMLElementTagNameMap {
    'rekursing-ad': RekursingAd;
  }
}
