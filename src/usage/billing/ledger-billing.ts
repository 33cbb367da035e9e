import { answersOf } from '../../core/answer-count.ts';
import type { Bill, Billing, CallEnd, Purchase, SpendingTerms } from '../../core/billing.ts';
import type { BudgetUnit } from '../../core/budget.ts';
import type { Clock } from '../../core/clock.ts';
import { UpstreamError } from '../../core/failure.ts';
import { countOf } from '../../core/json-shape.ts';
import {
  type AttemptEnd,
  type AttemptStart,
  BudgetExceeded,
  DEFAULT_PAYER,
  type EndState,
  type Ledger,
  type LedgerEntry,
  LedgerUnavailable,
  NO_TOKENS,
  type Payer,
} from '../../core/ledger.ts';
import type { CostSource } from '../../core/price.ts';
import type { Target } from '../../core/target.ts';
import type { Usage } from '../../core/usage.ts';
import { type NamedBudget, refusalText } from './budget-words.ts';
import { knownCost, type Promised, setAside } from './call-caps.ts';
import { LEAST_USEFUL_TOKENS, longestFitting, retryAfterMs, roomOf } from './fitting.ts';
import { mayHaveCostMore, outcomeOf, stateOf, tokensOf, usageOf } from './observed.ts';
import type { PricedCall, Pricing } from './pricing.ts';
import { answerLimitOf, likelyBounds, picturesOf, type TokenBounds, upperBounds } from './reservation.ts';
import { unboundedText } from './unbounded.ts';

/** Whose calls a request makes. */
export interface PayingCaller {
  readonly payer: Payer;
  /** As budgets call it; default: as its server is asked for it. */
  readonly model?: string;
  /**
   * Units of the hard budgets that apply to it: of its organisation, project, key and model. Empty: none, and no call
   * waits for the ledger before it is made.
   */
  readonly hardBudgets: readonly BudgetUnit[];
  /** These budgets themselves, for a refusal that speaks of them. Default: nothing is known of them. */
  readonly namedBudgets?: () => readonly NamedBudget[];
}

/** Nobody has set up tenants: one user, who is not limited. */
export const SINGLE_USER: PayingCaller = { payer: DEFAULT_PAYER, hardBudgets: [] };

export interface LedgerBillingOptions<Price> {
  readonly ledger: Ledger;
  readonly pricing: Pricing<Price>;
  readonly clock: Clock;
  /** A new name for each call; best a UUIDv7. */
  readonly newAttemptId: () => string;
  /** Default: a single user. */
  readonly payerOf?: (purchase: Purchase) => PayingCaller;
  /** Of an answer whose length the client does not limit, tokens, ≥ 1: so many are set aside, and under a hard budget it gets no more. Default 4,096. */
  readonly usualOutputTokens?: number;
}

const DEFAULTS: Required<Pick<LedgerBillingOptions<unknown>, 'payerOf' | 'usualOutputTokens'>> = {
  payerOf: () => SINGLE_USER,
  usualOutputTokens: 4_096,
};

const NOTHING_PROMISED: Promised = { usd: false, tokens: false };
const NO_NAMES = (): readonly NamedBudget[] => [];

/** Bills of the router as rows of the ledger: one a call, on record before the client sees the end of its answer. */
export class LedgerBilling<Price> implements Billing {
  readonly #options: LedgerBillingOptions<Price> & typeof DEFAULTS;

  constructor(options: LedgerBillingOptions<Price>) {
    this.#options = { ...DEFAULTS, ...options };
  }

  open(purchase: Purchase): Bill | Promise<Bill> {
    const { ledger, payerOf, usualOutputTokens } = this.#options;
    const { payer, model = purchase.model, hardBudgets, namedBudgets = NO_NAMES } = payerOf(purchase);
    const price = this.#priceOf(purchase, '');
    const isPromised = hardBudgets.length > 0;
    const sale = { purchase, payer, model, price, pictures: isPromised ? picturesOf(purchase.request) : 0 };
    if (isPromised) return this.#underBudget(sale, hardBudgets, namedBudgets);
    const start = this.#startOf(sale, likelyBounds(purchase, usualOutputTokens), NOTHING_PROMISED);
    return this.#bill(ledger.begin(start), sale, start, null);
  }

  async #underBudget(
    sale: Sale<Price>,
    units: readonly BudgetUnit[],
    named: () => readonly NamedBudget[],
  ): Promise<Bill> {
    const problem = unboundedText(sale.purchase, sale.price !== null, units, named);
    if (problem !== null) throw new UpstreamError('overBudget', problem);
    try {
      return await this.#reserved(sale, units);
    } catch (error) {
      // Either way nobody can promise that it is paid for, and another target may need no promise.
      if (error instanceof BudgetExceeded) throw this.#overBudget(sale, error);
      if (error instanceof LedgerUnavailable) throw new UpstreamError('unbillable', error.message, { cause: error });
      throw error;
    }
  }

  /** Where the client leaves the length of the answer to others, and not all of the usual one fits, what fits. */
  async #reserved(sale: Sale<Price>, units: readonly BudgetUnit[]): Promise<Bill> {
    const { purchase } = sale;
    const given = answerLimitOf(purchase.request);
    let answerTokens = given ?? this.#options.usualOutputTokens;
    const promised = { usd: units.includes('usd'), tokens: units.includes('tokens') };
    for (;;) {
      try {
        const start = this.#startOf(sale, upperBounds(purchase, answerTokens), promised);
        const entry = await this.#options.ledger.reserve(start);
        return this.#bill(entry, sale, start, this.#termsOf(sale, units, answerTokens));
      } catch (error) {
        if (given !== null || !(error instanceof BudgetExceeded)) throw error;
        const { refusal } = error;
        const fits = this.#longestFitting(sale, roomOf(refusal), refusal.unit, answerTokens - 1);
        if (fits < LEAST_USEFUL_TOKENS) throw error;
        answerTokens = fits;
      }
    }
  }

  /** Of answers that cost nothing, whatever their length, none needs a limit. */
  #termsOf(sale: Sale<Price>, units: readonly BudgetUnit[], answerTokens: number): SpendingTerms {
    const isFree = !units.includes('tokens') && this.#nanoUsd(sale, answerTokens) === this.#nanoUsd(sale, 0);
    const { price, pictures } = sale;
    const published = price === null || !units.includes('usd') ? null : this.#options.pricing.publishedPrices(price);
    const most = published && { ...published, image: pictures === 0 ? null : published.image };
    return { answerTokens: isFree ? null : answerTokens, most };
  }

  #longestFitting(sale: Sale<Price>, room: number, unit: BudgetUnit, most: number): number {
    return longestFitting(room, most, (answerTokens) => this.#costOf(sale, unit, answerTokens));
  }

  #costOf(sale: Sale<Price>, unit: BudgetUnit, answerTokens: number): number {
    if (unit === 'usd') return this.#nanoUsd(sale, answerTokens);
    const { promptTokens, outputTokens } = upperBounds(sale.purchase, answerTokens);
    return promptTokens + outputTokens;
  }

  #nanoUsd(sale: Sale<Price>, answerTokens: number): number {
    return this.#estimate(sale, upperBounds(sale.purchase, answerTokens));
  }

  #estimate({ purchase, price, pictures }: Sale<Price>, { promptTokens, outputTokens }: TokenBounds): number {
    const of = { longestMs: longestMs(purchase.target), pictures };
    return this.#options.pricing.estimateNanoUsd(promptTokens, outputTokens, price, of) ?? 0;
  }

  #overBudget(sale: Sale<Price>, error: BudgetExceeded): UpstreamError {
    const most = answerLimitOf(sale.purchase.request) ?? this.#options.usualOutputTokens;
    const { refusal } = error;
    const now = this.#longestFitting(sale, roomOf(refusal), refusal.unit, most);
    const ever = this.#longestFitting(sale, refusal.limit, refusal.unit, most);
    // Where the client leaves the length to the gateway, a shorter answer would have been let in.
    const given = answerLimitOf(sale.purchase.request);
    const least = given ?? Math.min(LEAST_USEFUL_TOKENS, most);
    const asked = given === null ? this.#costOf(sale, refusal.unit, least) : refusal.asked;
    const { caller, body } = sale.purchase.request;
    const [newer, older] = [countOf(body['max_completion_tokens'], 1) ?? 0, countOf(body['max_tokens'], 1) ?? 0];
    // Of both the larger counts.
    const field = newer > older ? 'max_completion_tokens' : 'max_tokens';
    const fits = { now, ever, field, answers: answersOf(body) } as const;
    return new UpstreamError('overBudget', refusalText(refusal, caller, asked, fits), {
      retryAfterMs: retryAfterMs({ ...refusal, asked }, this.#options.clock.wallMs()),
      cause: error,
    });
  }

  #bill(
    entry: LedgerEntry,
    { purchase: { target, model, promptTokens }, price }: Sale<Price>,
    { reservedNanoUsd }: AttemptStart,
    terms: SpendingTerms | null,
  ): Bill {
    const { pricing, clock } = this.#options;
    return new LedgerBill(entry, { target, model, promptTokens, price, reservedNanoUsd }, terms, pricing, clock);
  }

  #startOf(sale: Sale<Price>, bounds: TokenBounds, promised: Promised): AttemptStart {
    const { request, attempt, target } = sale.purchase;
    const { clock, newAttemptId } = this.#options;
    const tokens = bounds.promptTokens + bounds.outputTokens;
    const aside = setAside({ nanoUsd: this.#estimate(sale, bounds), tokens }, promised);
    return {
      attemptId: newAttemptId(),
      requestId: request.id,
      attempt,
      payer: sale.payer,
      targetId: target.id,
      adapterKind: target.adapterKind,
      place: target.place,
      model: sale.model,
      operation: request.operation,
      stream: request.stream,
      startedAtMs: clock.wallMs(),
      reservedNanoUsd: aside.reservedNanoUsd,
      reservedTokens: aside.reservedTokens,
    };
  }

  #priceOf({ target, model }: Purchase, answeredBy: string): Price | null {
    const { pricing, clock } = this.#options;
    return pricing.priceOf({ target, model, answeredBy, nowMs: clock.wallMs() });
  }
}

/** One call that somebody is to pay for. */
interface Sale<Price> {
  readonly purchase: Purchase;
  readonly payer: Payer;
  /** As budgets call it. */
  readonly model: string;
  readonly price: Price | null;
  /** Of its prompt; 0 also where no hard budget applies. */
  readonly pictures: number;
}

/** What is kept of a call while it runs; nothing of its prompt. */
interface OpenCall<Price> {
  readonly target: Target;
  readonly model: string;
  readonly promptTokens: number;
  readonly price: Price | null;
  readonly reservedNanoUsd: number;
}

class LedgerBill<Price> implements Bill {
  readonly terms: SpendingTerms | null;
  readonly #entry: LedgerEntry;
  readonly #call: OpenCall<Price>;
  readonly #pricing: Pricing<Price>;
  readonly #clock: Clock;
  readonly #beganAtMs: number;

  constructor(
    entry: LedgerEntry,
    call: OpenCall<Price>,
    terms: SpendingTerms | null,
    pricing: Pricing<Price>,
    clock: Clock,
  ) {
    this.terms = terms;
    this.#entry = entry;
    this.#call = call;
    this.#pricing = pricing;
    this.#clock = clock;
    this.#beganAtMs = clock.nowMs();
  }

  end(end: CallEnd): Promise<void> {
    return this.#entry.end(this.#attemptEnd(end));
  }

  #attemptEnd(end: CallEnd): AttemptEnd {
    const nowMs = this.#clock.wallMs();
    const state = this.#stateOf(end);
    const { status, failure } = end;
    const clientOutcome = outcomeOf(end);
    // Of what nobody can say, what was set aside for it is billed.
    if (state !== 'settled') {
      const common = { state, endedAtMs: nowMs, status, failure, clientOutcome };
      const costNanoUsd = state === 'voided' || this.#call.target.place === 'local' ? 0 : null;
      const unsure = state === 'unknown';
      return { ...common, ...NO_TOKENS, costNanoUsd, costSource: 'unknown', savedNanoUsd: 0, estimated: unsure };
    }
    const usage = usageOf(end, this.#call.promptTokens);
    const call = { target: this.#call.target, model: this.#call.model, answeredBy: end.model, nowMs };
    const { costNanoUsd, costSource } = this.#costOf(call, usage);
    const savedNanoUsd = this.#known(this.#pricing.savedNanoUsd(call, usage, costNanoUsd), 'catalogue', usage) ?? 0;
    const tokens = tokensOf(usage);
    // Field by field: this comes with every call, and objects that are spread into another cost more than all of them.
    return {
      state,
      endedAtMs: nowMs,
      status,
      failure,
      clientOutcome,
      inputTokens: tokens.inputTokens,
      cachedInputTokens: tokens.cachedInputTokens,
      outputTokens: tokens.outputTokens,
      reasoningTokens: tokens.reasoningTokens,
      imageTokens: tokens.imageTokens,
      audioInputTokens: tokens.audioInputTokens,
      audioOutputTokens: tokens.audioOutputTokens,
      costNanoUsd,
      costSource,
      savedNanoUsd,
      estimated: end.usage === null,
    };
  }

  /**
   * What a hard budget pays a provider is never guessed too low: where it has not said what the whole answer used, what
   * was set aside is billed.
   */
  #stateOf(end: CallEnd): EndState {
    const isPromised = this.terms !== null && this.#call.target.place === 'cloud';
    return isPromised && mayHaveCostMore(end) ? 'unknown' : stateOf(end);
  }

  /** Who has no price for a server of the operator's own takes it for free. */
  #costOf(call: PricedCall, usage: Usage): { readonly costNanoUsd: number | null; readonly costSource: CostSource } {
    const price = this.#call.price ?? (call.answeredBy === '' ? null : this.#pricing.priceOf(call));
    const { nanoUsd, source } = this.#pricing.costOf(usage, price, this.#clock.nowMs() - this.#beganAtMs);
    const known = this.#known(nanoUsd, source, usage);
    if (known !== null) return { costNanoUsd: known, costSource: source };
    if (nanoUsd === null && call.target.place === 'local') return { costNanoUsd: 0, costSource: 'local-rate' };
    return { costNanoUsd: null, costSource: 'unknown' };
  }

  #known(value: number | null, source: CostSource, { promptTokens, completionTokens }: Usage): number | null {
    const tokens = promptTokens + completionTokens;
    return knownCost(value, source, { reservedNanoUsd: this.#call.reservedNanoUsd, tokens });
  }
}

/** No call runs longer: what electricity it may take is set aside before it is made. */
function longestMs({ clocks: { connectMs, firstByteMs, warmupMs, streamMs } }: Target): number {
  return connectMs + Math.max(firstByteMs, warmupMs) + streamMs;
}
