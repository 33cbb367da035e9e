import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { AttemptRecord } from '../core/outcome.ts';
import type { PlanStep, RoutePlan } from '../core/plan.ts';
import type { InferenceRequest } from '../core/request.ts';
import type { Usage } from '../core/usage.ts';
import { type Committed, runAttempt } from './attempt.ts';
import type { Lease, SlotTable } from './load.ts';
import { nextStep } from './next-step.ts';
import { PlanWalk, type Replan } from './plan-walk.ts';
import { promptWasCut } from './prompt-cut.ts';
import { SlotSeeker } from './slot-seeker.ts';
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
      readonly attempts: readonly AttemptRecord[];
    }
  | { readonly kind: 'failed'; readonly error: UpstreamError; readonly attempts: readonly AttemptRecord[] };

/** Walks the plan: one attempt after the other until one commits or nothing is left. */
export class PlanRunner {
  readonly #directory: TargetDirectory;
  readonly #seeker: SlotSeeker;
  readonly #clock: Clock;
  readonly #options: RunOptions;

  constructor(directory: TargetDirectory, slots: SlotTable, clock: Clock, options: RunOptions) {
    this.#directory = directory;
    this.#seeker = new SlotSeeker(directory, slots, clock, options.queueTimeoutMs);
    this.#clock = clock;
    this.#options = options;
  }

  /** The cancellation fires when the client left, or when the reply did not begin before `deadlineMs`. */
  async run(
    request: InferenceRequest,
    plan: RoutePlan,
    cancellation: Cancellation,
    deadlineMs: number,
    replan: Replan,
  ): Promise<RunResult> {
    const walk = new PlanWalk(plan, request.prompt, cancellation, deadlineMs, replan);
    for (;;) {
      const taken = await this.#seeker.seek(walk);
      if (taken instanceof UpstreamError) return walk.failed(taken);
      const { step, lease } = taken;
      const result = await runAttempt(request, step, lease, cancellation, this.#clock, (afterMs) =>
        this.#directory.answering(lease.call, afterMs),
      );
      if (result.kind !== 'failed' && !(walk.untried.length > 0 && wasCut(result, lease))) {
        walk.attempts.push(result.record);
        return { kind: 'committed', committed: result, lease, attempts: walk.attempts };
      }
      const failed = result.kind === 'failed' ? { ...result, usage: null } : cutShort(result, lease);
      walk.attempts.push(failed.record);
      const error = this.#judge(lease, failed, cancellation);
      lease.release(this.#settlingMs(lease, error));
      if (cancellation.cause !== null) return walk.failed(cancellation.cause);
      const interrupted = await this.#goOn(walk, step, error);
      if (interrupted !== null) return walk.failed(interrupted);
    }
  }

  /** What the failure says of the target: nothing, when it was us or the client who ended the attempt. */
  #judge(lease: Lease, { error, usage }: Failed, cancellation: Cancellation): UpstreamError {
    if (cancellation.cause !== null) {
      this.#directory.givenUp(lease.call);
      return cancellation.cause;
    }
    this.#directory.failed(lease.call, error, usage);
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
    // Others may have come back since the plan was made.
    if (walk.untried.length === 0) await this.#seeker.extend(walk);
    if (walk.cancellation.cause !== null) return walk.cancellation.cause;
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

interface Failed {
  readonly error: UpstreamError;
  readonly record: AttemptRecord;
  readonly usage: Usage | null;
}

/** A whole reply to a part of the prompt. */
function wasCut({ reply }: Committed, { call: { live } }: Lease): boolean {
  return reply.kind === 'whole' && promptWasCut(live, reply.usage);
}

/** Nothing of the answer was sent yet, so another target may read the whole prompt. */
function cutShort({ reply, record }: Committed, { call: { live } }: Lease): Failed {
  const message = `it read only ${reply.usage?.promptTokens} of about ${live.promptTokens} tokens of the prompt`;
  const error = new UpstreamError('contextTooLong', message);
  const failure = { failure: error.kind, failureMessage: message, firstContentMs: null };
  return { error, record: { ...record, ...failure }, usage: reply.usage };
}
