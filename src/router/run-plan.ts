import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { AttemptRecord } from '../core/outcome.ts';
import type { PlanStep, RoutePlan } from '../core/plan.ts';
import type { InferenceRequest } from '../core/request.ts';
import { asUpstreamError, type Committed, runAttempt } from './attempt.ts';
import type { Lease, SlotChoice, SlotTable } from './load.ts';
import { type NextStep, nextStep } from './next-step.ts';
import type { TargetDirectory } from './targets.ts';

export interface RunOptions {
  /** Pause before the same target is asked again, ms, ≥ 0; doubles each time. */
  readonly retryDelayMs: number;
  /** Longest wait for a local slot, ms. */
  readonly queueTimeoutMs: number;
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

/** Where the walk along one plan stands. */
interface Walk {
  readonly request: InferenceRequest;
  readonly cancellation: Cancellation;
  readonly deadlineMs: number;
  readonly maxAttempts: number;
  readonly untried: PlanStep[];
  readonly attempts: AttemptRecord[];
  /** Attempts that use up the retry limit. */
  charged: number;
  /** The step to ask again; null: go on to the next one. */
  again: PlanStep | null;
  triesOfTarget: number;
  /** Since when the target now asked says that it is loading. */
  loadingSinceMs: number | null;
  lastError: UpstreamError | null;
}

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
  ): Promise<RunResult> {
    const walk: Walk = {
      request,
      cancellation,
      deadlineMs,
      maxAttempts: plan.maxAttempts,
      untried: [...plan.steps],
      attempts: [],
      charged: 0,
      again: null,
      triesOfTarget: 0,
      loadingSinceMs: null,
      lastError: null,
    };
    for (;;) {
      const taken = this.#takeFree(walk) ?? (await this.#waitForSlot(walk));
      if (taken instanceof UpstreamError) return failed(walk, preferred(walk.lastError, taken));
      const { step, lease } = taken;
      const result = await runAttempt(request, step, lease, cancellation, this.#clock);
      walk.attempts.push(result.record);
      if (result.kind !== 'failed') {
        this.#directory.answering(lease.call);
        return { kind: 'committed', committed: result, lease, attempts: walk.attempts };
      }
      lease.release();
      const error = this.#judge(lease, result.error, cancellation);
      const decision = this.#decide(walk, step, error);
      walk.lastError = preferred(walk.lastError, error);
      if (decision.do === 'stop' || cancellation.cause !== null) return failed(walk, walk.lastError);
      const interrupted = await this.#pause(decision, cancellation);
      if (interrupted !== null) return failed(walk, interrupted);
    }
  }

  /** What the failure says of the target: nothing, when it was us or the client who ended the attempt. */
  #judge(lease: Lease, error: UpstreamError, cancellation: Cancellation): UpstreamError {
    if (cancellation.cause !== null) {
      this.#directory.givenUp(lease.call);
      return cancellation.cause;
    }
    this.#directory.failed(lease.call, error);
    return error;
  }

  #decide(walk: Walk, step: PlanStep, error: UpstreamError): NextStep {
    const nowMs = this.#clock.nowMs();
    walk.charged++;
    walk.triesOfTarget = walk.again === null ? 1 : walk.triesOfTarget + 1;
    if (walk.again === null) walk.loadingSinceMs = null;
    if (error.kind === 'modelLoading') walk.loadingSinceMs ??= nowMs;
    const decision = nextStep({
      error,
      step,
      untried: walk.untried.length,
      attemptsLeft: walk.maxAttempts - walk.charged,
      triesOfTarget: walk.triesOfTarget,
      loadingForMs: walk.loadingSinceMs === null ? 0 : nowMs - walk.loadingSinceMs,
      timeLeftMs: walk.deadlineMs - nowMs,
      retryDelayMs: this.#options.retryDelayMs,
      random: Math.random(),
    });
    walk.again = decision.do === 'same-again' ? step : null;
    if (decision.do === 'same-again' && decision.free) walk.charged--;
    return decision;
  }

  /** The next step that has a free slot now; null: none has. Steps that are full by now go to the end, to be waited for. */
  #takeFree(walk: Walk): Taken | null {
    if (walk.again !== null) return null;
    const { untried } = walk;
    for (let step = untried[0]; step !== undefined && !step.waits; step = untried[0]) {
      untried.shift();
      const choice = this.#choice(step);
      if (choice === null) continue;
      const lease = this.#slots.take(choice);
      if (lease !== null) return { step, lease };
      untried.push({ ...step, waits: true });
    }
    return null;
  }

  async #waitForSlot(walk: Walk): Promise<Taken | UpstreamError> {
    const steps = walk.again === null ? walk.untried : [walk.again];
    const choices = new Map<SlotChoice, PlanStep>();
    for (const step of steps) {
      const choice = this.#choice(step);
      if (choice !== null) choices.set(choice, step);
    }
    if (choices.size === 0) return walk.lastError ?? new UpstreamError('unreachable', 'the target was removed');
    try {
      const lease = await this.#slots.wait([...choices.keys()], this.#options.queueTimeoutMs, walk.cancellation);
      const step = choices.get(lease.choice) as PlanStep;
      const at = walk.untried.indexOf(step);
      if (at !== -1) walk.untried.splice(at, 1);
      return { step, lease };
    } catch (thrown) {
      return asUpstreamError(thrown);
    }
  }

  #choice(step: PlanStep): SlotChoice | null {
    const entry = this.#directory.get(step.target.id);
    return entry === undefined ? null : { entry, model: step.model };
  }

  /** Resolves with the cause when the request is cancelled meanwhile. */
  async #pause(decision: NextStep, cancellation: Cancellation): Promise<UpstreamError | null> {
    if (decision.do !== 'same-again' || decision.delayMs <= 0) return null;
    return new Promise((resolve) => {
      const onCancel = (cause: UpstreamError): void => {
        cancelTimer();
        resolve(cause);
      };
      const cancelTimer = this.#clock.after(decision.delayMs, () => {
        cancellation.forget(onCancel);
        resolve(null);
      });
      cancellation.onCancel(onCancel);
    });
  }
}

function failed(walk: Walk, error: UpstreamError): RunResult {
  return { kind: 'failed', error, attempts: walk.attempts };
}

/** Of two failures the one that helps the client more: that its prompt is too long beats what befell a later server. */
function preferred(older: UpstreamError | null, newer: UpstreamError): UpstreamError {
  return older?.kind === 'contextTooLong' && newer.kind !== 'cancelled' ? older : newer;
}
