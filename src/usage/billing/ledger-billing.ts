import type { Bill, Billing, CallEnd, Purchase } from '../../core/billing.ts';
import type { BudgetUnit } from '../../core/budget.ts';
import type { Clock } from '../../core/clock.ts';
import { UpstreamError } from '../../core/failure.ts';
import {
  type AttemptEnd,
  type AttemptStart,
  BudgetExceeded,
  DEFAULT_PAYER,
  type Ledger,
  type LedgerEntry,
  LedgerUnavailable,
  NO_TOKENS,
  type Payer,
} from '../../core/ledger.ts';
import type { CostSource } from '../../core/price.ts';
import type { Target } from '../../core/target.ts';
import type { Usage } from '../../core/usage.ts';
import { outcomeOf, stateOf, tokensOf, usageOf } from './observed.ts';
import type { PricedCall, Pricing } from './pricing.ts';
import { boundsOf } from './reservation.ts';

/** Whose calls a request makes. */
export interface PayingCaller {
  readonly payer: Payer;
  /**
   * Units of the hard budgets that apply to it: of its organisation, project, key and model. Empty: none, and no call
   * waits for the ledger before it is made.
   */
  readonly hardBudgets: readonly BudgetUnit[];
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
  /** Set aside for an answer whose length the client does not limit, tokens, ≥ 0. Default 4,096. */
  readonly usualOutputTokens?: number;
}

const DEFAULTS: Required<Pick<LedgerBillingOptions<unknown>, 'payerOf' | 'usualOutputTokens'>> = {
  payerOf: () => SINGLE_USER,
  usualOutputTokens: 4_096,
};

/** Bills of the router as rows of the ledger: one a call, on record before the client sees the end of its answer. */
export class LedgerBilling<Price> implements Billing {
  readonly #options: LedgerBillingOptions<Price> & typeof DEFAULTS;

  constructor(options: LedgerBillingOptions<Price>) {
    this.#options = { ...DEFAULTS, ...options };
  }

  open(purchase: Purchase): Bill | Promise<Bill> {
    const { ledger, payerOf } = this.#options;
    const { payer, hardBudgets } = payerOf(purchase);
    const price = this.#priceOf(purchase, '');
    const start = this.#startOf(purchase, payer, price);
    if (hardBudgets.length === 0) return this.#bill(ledger.begin(start), purchase, price);
    if (hardBudgets.includes('usd') && price === null && purchase.target.place === 'cloud') {
      return Promise.reject(new UpstreamError('overBudget', noPriceText(purchase)));
    }
    return this.#reserved(start, purchase, price);
  }

  async #reserved(start: AttemptStart, purchase: Purchase, price: Price | null): Promise<Bill> {
    try {
      return this.#bill(await this.#options.ledger.reserve(start), purchase, price);
    } catch (error) {
      // Either way nobody can promise that it is paid for, and another target may need no promise.
      if (!(error instanceof BudgetExceeded || error instanceof LedgerUnavailable)) throw error;
      const kind = error instanceof BudgetExceeded ? 'overBudget' : 'unbillable';
      throw new UpstreamError(kind, error.message, { cause: error });
    }
  }

  #bill(entry: LedgerEntry, { target, model, promptTokens }: Purchase, price: Price | null): Bill {
    return new LedgerBill(entry, { target, model, promptTokens, price }, this.#options.pricing, this.#options.clock);
  }

  #startOf(purchase: Purchase, payer: Payer, price: Price | null): AttemptStart {
    const { request, attempt, target, model } = purchase;
    const { pricing, clock, newAttemptId, usualOutputTokens } = this.#options;
    const { promptTokens, outputTokens } = boundsOf(purchase, usualOutputTokens);
    return {
      attemptId: newAttemptId(),
      requestId: request.id,
      attempt,
      payer,
      targetId: target.id,
      adapterKind: target.adapterKind,
      place: target.place,
      model,
      operation: request.operation,
      stream: request.stream,
      startedAtMs: clock.wallMs(),
      reservedNanoUsd: pricing.estimateNanoUsd(promptTokens, outputTokens, price, longestMs(target)) ?? 0,
      reservedTokens: promptTokens + outputTokens,
    };
  }

  #priceOf({ target, model }: Purchase, answeredBy: string): Price | null {
    const { pricing, clock } = this.#options;
    return pricing.priceOf({ target, model, answeredBy, nowMs: clock.wallMs() });
  }
}

/** What is kept of a call while it runs; nothing of its prompt. */
interface OpenCall<Price> {
  readonly target: Target;
  readonly model: string;
  readonly promptTokens: number;
  readonly price: Price | null;
}

class LedgerBill<Price> implements Bill {
  readonly #entry: LedgerEntry;
  readonly #call: OpenCall<Price>;
  readonly #pricing: Pricing<Price>;
  readonly #clock: Clock;
  readonly #beganAtMs: number;

  constructor(entry: LedgerEntry, call: OpenCall<Price>, pricing: Pricing<Price>, clock: Clock) {
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
    const state = stateOf(end);
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
    const savedNanoUsd = amount(this.#pricing.savedNanoUsd(call, usage, costNanoUsd)) ?? 0;
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

  /** Who has no price for a server of the operator's own takes it for free. */
  #costOf(call: PricedCall, usage: Usage): { readonly costNanoUsd: number | null; readonly costSource: CostSource } {
    const price = this.#call.price ?? (call.answeredBy === '' ? null : this.#pricing.priceOf(call));
    const { nanoUsd, source } = this.#pricing.costOf(usage, price, this.#clock.nowMs() - this.#beganAtMs);
    const known = amount(nanoUsd);
    if (known !== null) return { costNanoUsd: known, costSource: source };
    if (call.target.place === 'local') return { costNanoUsd: 0, costSource: 'local-rate' };
    return { costNanoUsd: null, costSource: 'unknown' };
  }
}

/** No call runs longer: what electricity it may take is set aside before it is made. */
function longestMs({ clocks: { connectMs, firstByteMs, warmupMs, streamMs } }: Target): number {
  return connectMs + Math.max(firstByteMs, warmupMs) + streamMs;
}

/** As the ledger takes it. */
function amount(value: number | null): number | null {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? value : null;
}

function noPriceText({ target, model }: Purchase): string {
  return `a hard budget applies, and no price is known for '${model}' at target '${target.id}'`;
}
