import type { Bill } from '../core/billing.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { FailureKind, UpstreamError } from '../core/failure.ts';
import type { AttemptRecord } from '../core/outcome.ts';
import type { PlanStep, RoutePlan } from '../core/plan.ts';
import type { PromptFacts } from '../core/prompt.ts';
import type { Place, TargetId } from '../core/target.ts';
import type { Committed } from './attempt.ts';
import type { Lease } from './lease.ts';
import { retryWaitMs } from './next-step.ts';

/** A step that may be asked again, and when. */
export interface Retry {
  readonly step: PlanStep;
  readonly readyAtMs: number;
}

/** A whole answer to a part of the prompt, in case that nobody reads all of it. */
export interface Kept {
  readonly committed: Committed;
  readonly lease: Lease;
  readonly bill: Bill;
  readonly error: UpstreamError;
  /** Of its record among the attempts. */
  readonly index: number;
  /** How long others may be asked, monotonic ms. */
  readonly untilMs: number;
}

/** The plan as it would be made now, without these targets. */
export type Replan = (without: ReadonlySet<TargetId>) => Promise<readonly PlanStep[]>;

/** Where the walk along one plan stands. */
export class PlanWalk {
  readonly prompt: PromptFacts;
  readonly cancellation: Cancellation;
  readonly deadlineMs: number;
  readonly replan: Replan;
  readonly maxAttempts: number;
  /** Upstream calls that were made for the same request before this walk. */
  readonly attemptsBefore: number;
  /** In the order in which they are to be tried; those with `waits` only once a slot is free. */
  readonly untried: PlanStep[];
  readonly attempts: AttemptRecord[] = [];
  /** Attempts that use up the retry limit. */
  charged = 0;
  lastError: UpstreamError | null = null;
  kept: Kept | null = null;
  /** Resolves when what the latest failed call cost cannot be lost any more. */
  billed: Promise<void> | null = null;
  /** Tried, and surely not processed. */
  retryable: readonly Retry[] = [];
  /** How often the plan was made anew. */
  replans = 0;
  /** How long slots have been waited for, ms. */
  waitedMs = 0;
  /** Attempts, and changes of the directory, when it was made or last extended. */
  #madeAt: { readonly attempts: number; readonly changes: number; readonly atMs: number };
  /** Allocated by the first failure only. */
  #tries: Map<TargetId, number> | null = null;
  #loadingSinceMs: Map<TargetId, number> | null = null;
  readonly #failedPlaces = new Set<Place>();
  #retrying: PlanStep | null = null;

  constructor(
    plan: RoutePlan,
    prompt: PromptFacts,
    cancellation: Cancellation,
    deadlineMs: number,
    replan: Replan,
    madeAt: { readonly changes: number; readonly atMs: number },
    attemptsBefore = 0,
  ) {
    this.#madeAt = { attempts: 0, ...madeAt };
    this.prompt = prompt;
    this.cancellation = cancellation;
    this.deadlineMs = deadlineMs;
    this.replan = replan;
    this.maxAttempts = plan.maxAttempts;
    this.attemptsBefore = attemptsBefore;
    this.untried = [...plan.steps];
  }

  /** What the failure of one attempt changes. */
  note(step: PlanStep, error: UpstreamError, nowMs: number, retryDelayMs: number): void {
    this.lastError = preferred(this.lastError, error);
    this.#tries ??= new Map();
    const tries = (this.#tries.get(step.target.id) ?? 0) + 1;
    this.#tries.set(step.target.id, tries);
    this.#failedPlaces.add(step.target.place);
    // Whom it did not reach it burdens not, and there is an end to those.
    if (!NOT_REACHED.has(error.kind) || tries > 1) this.charged++;
    const others = this.retryable.filter((retry) => retry.step.target.id !== step.target.id);
    const waitMs = retryWaitMs(error, tries, retryDelayMs, Math.random());
    this.retryable = waitMs === null ? others : [...others, { step, readyAtMs: nowMs + waitMs }];
    if (error.kind === 'modelLoading') {
      this.#loadingSinceMs ??= new Map();
      if (!this.#loadingSinceMs.has(step.target.id)) this.#loadingSinceMs.set(step.target.id, nowMs);
    }
  }

  /**
   * The last attempt belongs to the other place when several at one place have failed and nobody of the other was asked:
   * servers of one place often share their fault.
   */
  spareLast(): void {
    if (this.maxAttempts - this.charged !== 1 || this.charged < 2 || this.#failedPlaces.size !== 1) return;
    const at = this.untried.findIndex(
      ({ waits, resting, target }) => !waits && !resting && !this.#failedPlaces.has(target.place),
    );
    if (at > 0) this.untried.unshift(...this.untried.splice(at, 1));
  }

  /** Since when this target says that it is loading; `nowMs`: it does not. */
  loadingSinceMs(step: PlanStep, nowMs: number): number {
    return this.#loadingSinceMs?.get(step.target.id) ?? nowMs;
  }

  /** It is asked again once it is done, after all others; that it was loading costs no retry. */
  awaitLoading(step: PlanStep): void {
    this.charged--;
    this.untried.push({ ...step, waits: true });
  }

  /** Whether anything has happened since the plan was made or extended: else the same steps would be added in vain. */
  isNews(changes: number, nowMs: number): boolean {
    const then = this.#madeAt;
    if (this.attempts.length !== then.attempts || changes !== then.changes) return true;
    // The end of a cooldown is told to nobody.
    return nowMs - then.atMs >= COOLDOWNS_MAY_END_MS;
  }

  /** The plan is made anew or extended now. */
  madeAnew(changes: number, nowMs: number): void {
    this.replans++;
    this.#madeAt = { attempts: this.attempts.length, changes, atMs: nowMs };
  }

  /** What is best by now, in place of what was. Targets that are to be asked once more are in no new plan: they stay. */
  planAnew(steps: readonly PlanStep[]): void {
    const tried = this.tried();
    const again = this.untried.filter(({ target }) => tried.has(target.id));
    this.untried.splice(0, this.untried.length, ...steps, ...again);
  }

  /**
   * Its slots are taken by now: it is waited for after those that are free, before those that rest; however long, unless
   * it is worth it only so long.
   */
  awaitSlot(step: PlanStep, waitAtMostMs = step.waitAtMostMs): void {
    const at = this.untried.findIndex(({ resting }) => resting);
    const waiting = { ...step, waits: true, waitAtMostMs };
    if (this.isRetry(step)) this.#retrying = waiting;
    this.untried.splice(at === -1 ? this.untried.length : at, 0, waiting);
  }

  again({ step }: Retry): void {
    this.retryable = this.retryable.filter((retry) => retry.step !== step);
    // Paid for already.
    this.#retrying = { ...step, waits: false, resting: false };
    this.untried.unshift(this.#retrying);
  }

  /** The steps that have a slot free, and are no retry, before all others. */
  newcomersFirst(): void {
    const isReady = (step: PlanStep) => !step.waits && !step.resting && !this.isRetry(step);
    const ready = this.untried.filter(isReady);
    const rest = this.untried.filter((step) => !isReady(step));
    this.untried.splice(0, this.untried.length, ...ready, ...rest);
  }

  /** Some that were not asked yet are waited for. */
  get awaitsUntried(): boolean {
    return this.untried.some(({ target }) => this.#tries?.has(target.id) !== true);
  }

  isRetry(step: PlanStep): boolean {
    return step === this.#retrying;
  }

  /** The targets it was sent to. */
  tried(): Set<TargetId> {
    return new Set(this.#tries?.keys());
  }

  /**
   * The steps at the head that are worth a wait only for as long as they stay better than the free one behind them; empty:
   * there are none.
   */
  briefWaits(): readonly PlanStep[] {
    const end = this.untried.findIndex(({ waits, waitAtMostMs }) => !waits || waitAtMostMs === null);
    return end === -1 || this.untried[end]?.waits === true ? [] : this.untried.slice(0, end);
  }

  /** The wait for these has lasted long enough: the free ones are next, and these are waited for when those fail. */
  putOff(steps: readonly PlanStep[]): void {
    const rest = this.untried.filter((step) => !steps.includes(step));
    this.untried.length = 0;
    this.untried.push(...rest);
    for (const step of steps) this.awaitSlot(step, null);
  }

  /** Nobody of those who were waited for will take it. Returns who they were. */
  dropWaiting(error: UpstreamError): TargetId[] {
    this.lastError = preferred(this.lastError, error);
    const waitedFor = this.untried.filter((step) => step.waits);
    const rest = this.untried.filter((step) => !step.waits);
    this.untried.length = 0;
    this.untried.push(...rest);
    return waitedFor.map((step) => step.target.id);
  }

  failed(error: UpstreamError) {
    const { attempts, billed } = this;
    return { kind: 'failed', error: preferred(this.lastError, error), attempts, billed } as const;
  }
}

const COOLDOWNS_MAY_END_MS = 250;

/** Failures of attempts that no target heard of: it was down, or nobody could promise to pay it. */
export const NOT_REACHED: ReadonlySet<FailureKind> = new Set(['unreachable', 'overBudget', 'unbillable'] as const);

/**
 * Of two failures the one that helps the client more: that its prompt is too long beats what befell a later server, a
 * server's trouble beats that another one lacks the model, and a model that loads beats that its queue was too long. But
 * who is only busy may be able to read it. And a budget for which waiting does not help is told where there is nothing
 * else to tell: what else failed may be well again at the next try.
 */
function preferred(older: UpstreamError | null, newer: UpstreamError): UpstreamError {
  if (older === null || newer.kind === 'cancelled') return newer;
  const isTelling =
    (older.kind === 'contextTooLong' && newer.kind !== 'overloaded' && newer.kind !== 'modelLoading') ||
    newer.kind === 'modelMissing' ||
    (isHopeless(newer) && !isHopeless(older) && older.kind !== 'modelMissing') ||
    (older.kind === 'modelLoading' && newer.kind === 'overloaded');
  return isTelling ? older : newer;
}

function isHopeless({ kind, retryAfterMs }: UpstreamError): boolean {
  return kind === 'overBudget' && retryAfterMs === null;
}
