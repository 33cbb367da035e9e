import { type Bill, type Billing, type CallEnd, FREE } from '../core/billing.ts';
import { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { AttemptRecord } from '../core/outcome.ts';
import type { PlanStep, RoutePlan } from '../core/plan.ts';
import type { InferenceRequest } from '../core/request.ts';
import {
  type AttemptResult,
  asUpstreamError,
  type Committed,
  type FailedAttempt,
  notMade,
  runAttempt,
} from './attempt.ts';
import { callEnd } from './call-end.ts';
import { ChargedCall } from './charged-call.ts';
import { Drains } from './drains.ts';
import { promptWasCut } from './learned/prompt-cut.ts';
import type { Lease } from './lease.ts';
import type { SlotTable } from './load.ts';
import { nextStep } from './next-step.ts';
import { type Kept, PlanWalk, type Replan } from './plan-walk.ts';
import { SlotSeeker, type Taken } from './slot-seeker.ts';
import type { TargetDirectory } from './targets.ts';

export interface RunOptions {
  /** Longest pause before the same target is asked again, ms, ≥ 0; doubles each time. */
  readonly retryDelayMs: number;
  /** Longest wait for a local slot, ms. */
  readonly queueTimeoutMs: number;
  /** How long a server that cannot stop reading a prompt is counted as busy after its request was cancelled, ms, ≥ 0. */
  readonly cancelGraceMs: number;
}

export type RunResult =
  | {
      readonly kind: 'committed';
      readonly committed: Committed;
      readonly lease: Lease;
      /** To be ended with the answer. */
      readonly bill: Bill;
      readonly attempts: readonly AttemptRecord[];
    }
  | {
      readonly kind: 'failed';
      readonly error: UpstreamError;
      readonly attempts: readonly AttemptRecord[];
      /** Resolves when what the attempts cost cannot be lost any more; null: it is so already. */
      readonly billed: Promise<void> | null;
    };

/** Walks the plan: one attempt after the other until one commits or nothing is left. */
export class PlanRunner {
  readonly #directory: TargetDirectory;
  readonly #seeker: SlotSeeker;
  readonly #clock: Clock;
  readonly #options: RunOptions;
  readonly #billing: Billing;
  readonly #drains: Drains;

  constructor(
    directory: TargetDirectory,
    slots: SlotTable,
    clock: Clock,
    options: RunOptions,
    billing = FREE,
    drains = new Drains(clock),
  ) {
    this.#drains = drains;
    this.#directory = directory;
    this.#seeker = new SlotSeeker(directory, slots, clock, options.queueTimeoutMs);
    this.#clock = clock;
    this.#options = options;
    this.#billing = billing;
  }

  /**
   * The cancellation fires when the client left, or when the reply did not begin before `deadlineMs`. `attemptsBefore`:
   * upstream calls that were made for the same request already.
   */
  async run(
    request: InferenceRequest,
    plan: RoutePlan,
    cancellation: Cancellation,
    deadlineMs: number,
    replan: Replan,
    attemptsBefore = 0,
  ): Promise<RunResult> {
    const madeAt = { changes: this.#directory.changes, atMs: this.#clock.nowMs() };
    const walk = new PlanWalk(plan, request.prompt, cancellation, deadlineMs, replan, madeAt, attemptsBefore);
    const result = await this.#walk(walk, request);
    return walk.kept === null ? result : this.#instead(walk, walk.kept, result);
  }

  async #walk(walk: PlanWalk, request: InferenceRequest): Promise<RunResult> {
    const { cancellation } = walk;
    for (;;) {
      const taken = walk.kept === null ? await this.#seeker.seek(walk) : this.#seeker.seekFree(walk);
      if (taken instanceof UpstreamError) return walk.failed(taken);
      const { step, lease } = taken;
      const result = await this.#try(walk, request, taken);
      if (result.kind === 'made') {
        const { committed, bill } = result;
        walk.attempts.push(committed.record);
        if (committed.record.promptCut !== true || !this.#keep(walk, step, committed, lease, bill)) {
          return { kind: 'committed', committed, lease, bill, attempts: walk.attempts };
        }
        continue;
      }
      walk.attempts.push(result.record);
      walk.billed = result.billed ?? walk.billed;
      const error = this.#judge(lease, result, cancellation);
      lease.release(this.#settlingMs(lease, error));
      if (cancellation.cause !== null) return walk.failed(cancellation.cause);
      const interrupted = await this.#goOn(walk, step, error);
      if (interrupted !== null) return walk.failed(interrupted);
    }
  }

  /**
   * Somebody else may read the whole prompt, as nothing of the answer to a part of it was sent. It is kept until then:
   * better that than no answer. False: nobody else can be asked now.
   */
  #keep(walk: PlanWalk, step: PlanStep, committed: Committed, lease: Lease, bill: Bill): boolean {
    const mayAsk =
      walk.kept === null && walk.charged + 1 < walk.maxAttempts && walk.untried.some((next) => !next.waits);
    if (!mayAsk) return false;
    this.#directory.answered(lease.call, committed.reply.usage);
    lease.release();
    const error = tooLong(committed, lease);
    const nowMs = this.#clock.nowMs();
    walk.note(step, error, nowMs, this.#options.retryDelayMs);
    const untilMs = nowMs + patienceMs(committed, walk.untried);
    walk.kept = { committed, lease, bill, error, index: walk.attempts.length - 1, untilMs };
    return true;
  }

  /** The answer to a part of the prompt is handed out only when nobody has read all of it. */
  #instead({ attempts, cancellation }: PlanWalk, kept: Kept, result: RunResult): RunResult {
    const { committed, lease, bill } = kept;
    const asKept = { kind: 'committed', committed, lease, bill, attempts } as const;
    if (result.kind === 'failed' && cancellation.cause?.kind !== 'cancelled') return asKept;
    if (result.kind === 'committed' && readLess(result.committed, committed)) {
      const other = { ...result, error: tooLong(result.committed, result.lease), index: attempts.length - 1 };
      this.#drop(attempts, other);
      return asKept;
    }
    this.#drop(attempts, kept, result.kind === 'failed');
    return result;
  }

  /** It is not handed out, but somebody pays for it. */
  #drop(attempts: AttemptRecord[], dropped: Omit<Kept, 'untilMs'>, clientLeft = false): void {
    const { committed, lease, bill, error, index } = dropped;
    void bill.end(callEnd(committed.reply, error));
    attempts[index] = { ...committed.record, failure: error.kind, failureMessage: error.message, firstContentMs: null };
    if (clientLeft) this.#directory.givenUp(lease.call);
    else this.#directory.failed(lease.call, error, committed.reply.usage);
    lease.release();
  }

  /** One call, and who pays for it. Nothing is sent before that is sure. */
  async #try(walk: PlanWalk, request: InferenceRequest, { step, lease }: Taken): Promise<Tried> {
    const opened = this.#open(walk, request, lease);
    const bill = opened instanceof Promise ? await opened : opened;
    if (bill instanceof UpstreamError) {
      const refused = notMade(step, lease, bill);
      return { ...refused, record: { ...refused.record, notMade: true }, billed: null, wasMade: false };
    }
    const hasBegun = (): boolean => lease.call.live.contentAtMs !== null;
    const hurry = walk.kept === null ? null : hurried(walk.cancellation, this.#clock, walk.kept.untilMs, hasBegun);
    const cancellation = hurry?.cancellation ?? walk.cancellation;
    const charged = this.#chargedCall(lease, cancellation, request);
    let left: UpstreamError | null = null;
    const begins = (afterMs: number): void => {
      if (left === null) this.#directory.answering(lease.call, afterMs);
    };
    const life = charged?.cancellation ?? cancellation;
    const attempt = runAttempt(request, step, lease, life, this.#clock, begins, bill.terms);
    const result = await (charged?.resultOf(attempt, (ended) => bill.end(lateEnd(ended, left))) ?? attempt);
    hurry?.end();
    if (result instanceof UpstreamError) {
      left = result;
      return { ...notMade(step, lease, result), billed: null, wasMade: true };
    }
    if (result.kind === 'failed') return { ...result, billed: bill.end(callEnd(null, result.error)), wasMade: true };
    return { kind: 'made', committed: flagCut(result, lease), bill };
  }

  /** Null: it ends with its request. */
  #chargedCall(
    { call: { target } }: Lease,
    request: Cancellation,
    { clientSignal }: InferenceRequest,
  ): ChargedCall | null {
    return target.onDisconnect === 'drain' ? new ChargedCall(request, clientSignal, this.#drains) : null;
  }

  #open(walk: PlanWalk, request: InferenceRequest, { call }: Lease): Opened | Promise<Opened> {
    const { target, model, live } = call;
    const attempt = walk.attemptsBefore + walk.attempts.length + 1;
    try {
      const opened = this.#billing.open({ request, attempt, target, model, promptTokens: live.promptTokens });
      return opened instanceof Promise ? openedOrGone(opened, walk.cancellation) : opened;
    } catch (thrown) {
      return asUpstreamError(thrown);
    }
  }

  /** What the failure says of the target: nothing, when it was us or the client who ended the attempt. */
  #judge(lease: Lease, { error, wasMade }: NotServed, cancellation: Cancellation): UpstreamError {
    if (cancellation.cause !== null || !wasMade || error.kind === 'cancelled') {
      this.#directory.givenUp(lease.call, wasMade);
      return cancellation.cause ?? error;
    }
    this.#directory.failed(lease.call, error);
    return error;
  }

  /** Before the first content the server is at the prompt, and some cannot stop that when their client leaves. */
  #settlingMs({ choice: { entry } }: Lease, error: UpstreamError): number {
    const gaveUp = error.kind === 'cancelled' || error.kind === 'timeout';
    return gaveUp && entry.adapter.finishesPrompt ? this.#options.cancelGraceMs : 0;
  }

  /** Prepares the next attempt. Resolves with what ends the walk instead; null: it goes on. */
  async #goOn(walk: PlanWalk, step: PlanStep, error: UpstreamError): Promise<UpstreamError | null> {
    walk.note(step, error, this.#clock.nowMs(), this.#options.retryDelayMs);
    // With an answer in hand nobody is waited for.
    if (walk.kept !== null) return walk.charged < walk.maxAttempts && error.kind !== 'cancelled' ? null : error;
    // Others may have come back since the plan was made.
    if (walk.untried.length === 0) await this.#seeker.extend(walk);
    if (walk.cancellation.cause !== null) return walk.cancellation.cause;
    walk.spareLast();
    const nowMs = this.#clock.nowMs();
    const entry = this.#seeker.entryOf(step);
    const retryable = walk.retryable.filter((retry) => this.#seeker.mayRetry(retry.step));
    const decision = nextStep({
      error,
      untried: walk.untried.length,
      attemptsLeft: walk.maxAttempts - walk.charged,
      retryable: retryable.map(({ readyAtMs }) => ({ readyInMs: readyAtMs - nowMs })),
      warmupLeftMs: entry === null ? 0 : walk.loadingSinceMs(step, nowMs) + entry.target.clocks.warmupMs - nowMs,
      timeLeftMs: walk.deadlineMs - nowMs,
    });
    switch (decision.do) {
      case 'stop':
        return error;
      case 'next':
        return null;
      case 'await-loading':
        walk.awaitLoading(step);
        return null;
      case 'again': {
        const retry = retryable[decision.index];
        return retry === undefined ? error : this.#seeker.again(walk, retry);
      }
    }
  }
}

/** Of a call that went on after its client had left. */
function lateEnd(result: AttemptResult, left: UpstreamError | null): CallEnd {
  return result.kind === 'failed' ? callEnd(null, result.error) : callEnd(result.reply, left);
}

type Opened = Bill | UpstreamError;

/** A request that is over does not wait for who pays; a bill that comes all the same is ended, for no call was made. */
function openedOrGone(opening: Promise<Bill>, cancellation: Cancellation): Promise<Opened> {
  return new Promise((resolve) => {
    let gone: UpstreamError | null = null;
    const leave = (cause: UpstreamError): void => {
      gone = cause;
      resolve(cause);
    };
    cancellation.onCancel(leave);
    opening.then(
      (bill) => {
        cancellation.forget(leave);
        if (gone === null) resolve(bill);
        else void bill.end({ ...callEnd(null, gone), neverMade: true });
      },
      (thrown) => {
        cancellation.forget(leave);
        resolve(asUpstreamError(thrown));
      },
    );
  });
}

/** A call that was made and committed, or one that failed or was not made. */
type Tried = { readonly kind: 'made'; readonly committed: Committed; readonly bill: Bill } | NotServed;

interface NotServed extends FailedAttempt {
  readonly billed: Promise<void> | null;
  /** False: it was decided before that nobody pays for it. */
  readonly wasMade: boolean;
}

/** ms. */
const LEAST_PATIENCE_MS = 1_000;
const PATIENCE_FACTOR = 2;

/**
 * How long who has an answer in hand waits for a better one: about as long as that took, or as the next target is expected
 * to take, which has more to read.
 */
function patienceMs({ record }: Committed, untried: readonly PlanStep[]): number {
  const next = untried.find(({ waits }) => !waits);
  return Math.max(LEAST_PATIENCE_MS, record.durationMs * PATIENCE_FACTOR, (next?.estimate?.seconds ?? 0) * 1000);
}

/** The same cancellation, with an end of its own: by then the answer must have begun. */
function hurried(request: Cancellation, clock: Clock, untilMs: number, hasBegun: () => boolean) {
  const cancellation = new Cancellation();
  const pass = (cause: UpstreamError): void => cancellation.cancel(cause);
  request.onCancel(pass);
  const cancelTimer = clock.after(Math.max(0, untilMs - clock.nowMs()), () => {
    if (!hasBegun()) pass(new UpstreamError('cancelled', 'an answer was in hand, and the better one took too long'));
  });
  const end = (): void => {
    cancelTimer();
    request.forget(pass);
  };
  return { cancellation, end };
}

/** Both are answers to a part of the prompt: the one to the smaller part. */
function readLess({ record, reply }: Committed, other: Committed): boolean {
  return record.promptCut === true && (reply.usage?.promptTokens ?? 0) < (other.reply.usage?.promptTokens ?? 0);
}

/** Says so in its record when it answers only a part of the prompt. Of streams that is known at their end. */
function flagCut(committed: Committed, { call: { live } }: Lease): Committed {
  if (committed.kind === 'stream' || !promptWasCut(live, committed.reply.usage)) return committed;
  return { ...committed, record: { ...committed.record, promptCut: true } };
}

function tooLong({ reply }: Committed, { call: { live } }: Lease): UpstreamError {
  const message = `it read only ${reply.usage?.promptTokens} of about ${live.promptTokens} tokens of the prompt`;
  return new UpstreamError('contextTooLong', message);
}
