import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { AttemptRecord } from '../core/outcome.ts';
import type { PlanStep, RoutePlan } from '../core/plan.ts';
import type { InferenceRequest } from '../core/request.ts';
import type { TargetId } from '../core/target.ts';
import type { Usage } from '../core/usage.ts';
import { asUpstreamError, type Committed, runAttempt } from './attempt.ts';
import type { Lease, Patience, SlotChoice, SlotTable } from './load.ts';
import { nextStep } from './next-step.ts';
import { PlanWalk, type Retry } from './plan-walk.ts';
import type { TargetDirectory, TargetEntry } from './targets.ts';

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

interface Taken {
  readonly step: PlanStep;
  readonly lease: Lease;
}

/** The plan as it would be made now, without these targets. */
export type Replan = (without: ReadonlySet<TargetId>) => Promise<readonly PlanStep[]>;

/** Walks the plan: one attempt after the other until one commits or nothing is left. */
export class PlanRunner {
  readonly #directory: TargetDirectory;
  readonly #slots: SlotTable;
  readonly #clock: Clock;
  readonly #options: RunOptions;

  constructor(directory: TargetDirectory, slots: SlotTable, clock: Clock, options: RunOptions) {
    this.#directory = directory;
    this.#slots = slots;
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
    const walk = new PlanWalk(plan, request.prompt, cancellation, deadlineMs);
    for (;;) {
      const taken = this.#takeFree(walk) ?? (await this.#waitForSlot(walk, replan));
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
      const interrupted = await this.#goOn(walk, step, error, replan);
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
  async #goOn(walk: PlanWalk, step: PlanStep, error: UpstreamError, replan: Replan): Promise<UpstreamError | null> {
    walk.note(step, error, this.#clock.nowMs(), this.#options.retryDelayMs);
    // Others may have come back since the plan was made.
    if (walk.untried.length === 0) await this.#extend(walk, replan, []);
    if (walk.cancellation.cause !== null) return walk.cancellation.cause;
    const nowMs = this.#clock.nowMs();
    const entry = this.#entryOf(step);
    const retryable = walk.retryable.filter((retry) => this.#mayRetry(retry.step));
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
        return retry === undefined ? error : this.#again(walk, retry);
      }
    }
  }

  #mayRetry(step: PlanStep): boolean {
    const entry = this.#entryOf(step);
    if (entry === null || entry.retryBudget.isSpent) return false;
    if (entry.breaker.name !== 'open') return true;
    // While it is down one request at a time may hope that it comes back; the others are told at once.
    return entry.retriesPending === 0 && entry.probeFailure?.silent !== true;
  }

  /** Puts the step first once more, paid for now, and waits until it may be asked. Resolves with what ends the walk instead. */
  async #again(walk: PlanWalk, retry: Retry): Promise<UpstreamError | null> {
    walk.again(retry);
    const entry = this.#entryOf(retry.step);
    if (entry === null) return null;
    entry.retryBudget.withdraw();
    entry.retriesPending++;
    try {
      return await this.#pause(retry.readyAtMs - this.#clock.nowMs(), walk.cancellation);
    } finally {
      entry.retriesPending--;
    }
  }

  /** The next step that has a free slot now; null: none has. Steps that are full by now go to the end, to be waited for. */
  #takeFree(walk: PlanWalk): Taken | null {
    const { untried } = walk;
    for (let step = untried[0]; step !== undefined && !step.waits; step = untried[0]) {
      untried.shift();
      const choice = this.#choice(step, walk);
      if (choice === null) continue;
      if (choice.entry.breaker.name === 'open' && !choice.outOfTurn) {
        // It went down since the plan was made: the others first.
        if (choice.entry.probeFailure?.silent !== true) untried.push({ ...step, waits: false, resting: true });
        continue;
      }
      const lease = this.#take(choice, step);
      if (lease !== null) return { step, lease };
      // One that rests after failures is not waited for.
      if (!step.resting) walk.awaitSlot(step);
    }
    return null;
  }

  #take(choice: SlotChoice, step: PlanStep): Lease | null {
    const { retryBudget } = choice.entry;
    if (step.resting && retryBudget.isSpent && !step.lastHope) return null;
    const lease = this.#slots.take(choice);
    if (lease === null) return null;
    if (step.resting) retryBudget.withdraw();
    else if (!choice.outOfTurn) retryBudget.deposit();
    return lease;
  }

  /** Waits for any of the full ones. If that ends badly the walk goes on with what is behind them, if there is anything. */
  async #waitForSlot(walk: PlanWalk, replan: Replan): Promise<Taken | UpstreamError> {
    const brief = walk.briefWaits();
    if (brief.length > 0) return this.#waitBriefly(walk, brief, replan);
    const choices = this.#choices(walk.untried, walk);
    if (choices.size === 0) return this.#afterVainWait(walk, walk.lastError ?? nobodyLeft(), replan);
    const retry = this.#firstRetry(walk);
    try {
      const patience = this.#patience(walk, choices.keys(), retry);
      const lease = await this.#slots.wait([...choices.keys()], patience, walk.cancellation);
      return this.#taken(walk, lease, choices);
    } catch (thrown) {
      if (walk.cancellation.cause !== null) return walk.cancellation.cause;
      const isCutShort = retry !== null && this.#isDue(retry);
      return isCutShort ? this.#retryDue(walk, replan) : this.#afterVainWait(walk, asUpstreamError(thrown), replan);
    }
  }

  /** Waits as long as that is expected to be better than a target that is free. */
  async #waitBriefly(walk: PlanWalk, steps: readonly PlanStep[], replan: Replan): Promise<Taken | UpstreamError> {
    const choices = this.#choices(steps, walk);
    const timeoutMs = Math.min(
      Math.max(...steps.map(({ waitAtMostMs }) => waitAtMostMs ?? 0)),
      this.#patience(walk, choices.keys(), null).timeoutMs,
    );
    const worthUntilMs = this.#clock.nowMs() + timeoutMs;
    const patience = { timeoutMs, deadlineMs: walk.deadlineMs, hasOther: true, mayReplan: false, worthUntilMs };
    try {
      const lease = await this.#slots.wait([...choices.keys()], patience, walk.cancellation);
      return this.#taken(walk, lease, choices);
    } catch {
      if (walk.cancellation.cause !== null) return walk.cancellation.cause;
      walk.putOff(steps);
      return this.#takeFree(walk) ?? this.#waitForSlot(walk, replan);
    }
  }

  #choices(steps: readonly PlanStep[], walk: PlanWalk): ReadonlyMap<SlotChoice, PlanStep> {
    const choices = new Map<SlotChoice, PlanStep>();
    for (const step of steps) {
      const choice = step.waits ? this.#choice(step, walk) : null;
      if (choice !== null) choices.set(choice, step);
    }
    return choices;
  }

  #taken(walk: PlanWalk, lease: Lease, choices: ReadonlyMap<SlotChoice, PlanStep>): Taken {
    const step = choices.get(lease.choice) as PlanStep;
    walk.untried.splice(walk.untried.indexOf(step), 1);
    if (!lease.choice.outOfTurn) lease.choice.entry.retryBudget.deposit();
    return { step, lease };
  }

  /** The wait was no longer than until a retry is due. Others may have used that up: then the wait goes on. */
  async #retryDue(walk: PlanWalk, replan: Replan): Promise<Taken | UpstreamError> {
    const retry = this.#firstRetry(walk);
    const isDue = retry !== null && this.#isDue(retry);
    return isDue ? this.#retryInstead(walk, retry, replan) : this.#waitForSlot(walk, replan);
  }

  #isDue({ readyAtMs }: Retry): boolean {
    return readyAtMs <= this.#clock.nowMs() + TIMER_SLACK_MS;
  }

  /** One that asked to be left alone may be asked again: what else is waited for keeps its place in the walk. */
  async #retryInstead(walk: PlanWalk, retry: Retry, replan: Replan): Promise<Taken | UpstreamError> {
    return (await this.#again(walk, retry)) ?? this.#takeFree(walk) ?? this.#waitForSlot(walk, replan);
  }

  /** The target that may be asked again soonest, if the retry limit allows it; null: none. */
  #firstRetry(walk: PlanWalk): Retry | null {
    if (walk.charged >= walk.maxAttempts) return null;
    const allowed = walk.retryable.filter(({ step }) => this.#mayRetry(step));
    return allowed.reduce<Retry | null>(
      (best, retry) => (best === null || retry.readyAtMs < best.readyAtMs ? retry : best),
      null,
    );
  }

  /** Those that were waited for went down, were removed, or were too slow: is there anybody else by now? */
  async #afterVainWait(walk: PlanWalk, error: UpstreamError, replan: Replan): Promise<Taken | UpstreamError> {
    const waitedFor = walk.dropWaiting(error);
    if (walk.cancellation.cause !== null) return walk.cancellation.cause;
    if (walk.untried.length === 0) await this.#extend(walk, replan, error.kind === 'unreachable' ? [] : waitedFor);
    if (walk.cancellation.cause !== null) return walk.cancellation.cause;
    if (walk.untried.length > 0) return this.#takeFree(walk) ?? this.#waitForSlot(walk, replan);
    const retry = this.#firstRetry(walk);
    return retry === null || retry.readyAtMs >= walk.deadlineMs ? error : this.#retryInstead(walk, retry, replan);
  }

  async #extend(walk: PlanWalk, replan: Replan, without: readonly TargetId[]): Promise<void> {
    if (walk.replans >= MAX_REPLANS) return;
    walk.replans++;
    walk.untried.push(...(await replan(new Set([...walk.tried(), ...without]))));
  }

  /** As long as the most patient of them allows; a model that is loading is waited for up to its warm-up limit. */
  #patience(walk: PlanWalk, choices: Iterable<SlotChoice>, retry: Retry | null): Patience {
    let timeoutMs = 0;
    for (const { entry } of choices) {
      const { queueMs, warmupMs } = entry.target.clocks;
      timeoutMs = Math.max(timeoutMs, queueMs ?? this.#options.queueTimeoutMs);
      if (entry.breaker.name === 'warming' || entry.activity.isLoadingAny) timeoutMs = Math.max(timeoutMs, warmupMs);
    }
    if (retry !== null) timeoutMs = Math.min(timeoutMs, Math.max(0, retry.readyAtMs - this.#clock.nowMs()));
    return {
      timeoutMs,
      deadlineMs: walk.deadlineMs,
      hasOther: retry !== null,
      mayReplan: walk.replans < MAX_REPLANS - 2,
      worthUntilMs: null,
    };
  }

  #choice(step: PlanStep, walk: PlanWalk): SlotChoice | null {
    const entry = this.#entryOf(step);
    if (entry === null) return null;
    return { entry, model: step.model, outOfTurn: step.resting || walk.isRetry(step), prompt: walk.prompt };
  }

  /**
   * Where the step leads now: a target that was configured anew is asked as it is now. null: it was removed, or its
   * name means something else, which the request may be forbidden to go to.
   */
  #entryOf({ target }: PlanStep): TargetEntry | null {
    const entry = this.#directory.get(target.id);
    if (entry === undefined) return null;
    const { place, adapterKind } = entry.target;
    return place === target.place && adapterKind === target.adapterKind ? entry : null;
  }

  /** Resolves with the cause when the request is cancelled meanwhile. */
  async #pause(delayMs: number, cancellation: Cancellation): Promise<UpstreamError | null> {
    if (delayMs <= 0) return null;
    return new Promise((resolve) => {
      const onCancel = (cause: UpstreamError): void => {
        cancelTimer();
        resolve(cause);
      };
      const cancelTimer = this.#clock.after(delayMs, () => {
        cancellation.forget(onCancel);
        resolve(null);
      });
      cancellation.onCancel(onCancel);
    });
  }
}

interface Failed {
  readonly error: UpstreamError;
  readonly record: AttemptRecord;
  readonly usage: Usage | null;
}

/** Some servers cut a prompt that is too long without a word, and answer what is left of it. */
function wasCut({ reply }: Committed, { call: { live } }: Lease): boolean {
  return (
    reply.kind === 'whole' &&
    reply.usage !== null &&
    live.meter.wasCut({ ...live, predictedCachedTokens: live.cachedTokens, promptTokens: reply.usage.promptTokens })
  );
}

/** Nothing of the answer was sent yet, so another target may read the whole prompt. */
function cutShort({ reply, record }: Committed, { call: { live } }: Lease): Failed {
  const message = `it read only ${reply.usage?.promptTokens} of about ${live.promptTokens} tokens of the prompt`;
  const error = new UpstreamError('contextTooLong', message);
  const failure = { failure: error.kind, failureMessage: message, firstContentMs: null };
  return { error, record: { ...record, ...failure }, usage: reply.usage };
}

/** Timers count whole milliseconds, so that one that was set for the very moment may fire a little before it. */
const TIMER_SLACK_MS = 1;

/** A fleet that comes and goes must not keep one request busy for ever. */
const MAX_REPLANS = 8;

function nobodyLeft(): UpstreamError {
  return new UpstreamError('unreachable', 'no target is left that could serve this request now', {
    retryAfterMs: 1_000,
  });
}
