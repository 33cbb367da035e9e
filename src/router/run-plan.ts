import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { AttemptRecord } from '../core/outcome.ts';
import type { PlanStep, RoutePlan } from '../core/plan.ts';
import type { InferenceRequest } from '../core/request.ts';
import { asUpstreamError, type Committed, runAttempt } from './attempt.ts';
import type { Lease, SlotChoice, SlotTable } from './load.ts';
import { modelIndex } from './model-index.ts';
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
      readonly attempts: AttemptRecord[];
    }
  | { readonly kind: 'failed'; readonly error: UpstreamError; readonly attempts: AttemptRecord[] };

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

  /** `signal` fires with an UpstreamError as its reason: the client left, or the reply did not begin before `deadlineMs`. */
  async run(request: InferenceRequest, plan: RoutePlan, signal: AbortSignal, deadlineMs: number): Promise<RunResult> {
    const attempts: AttemptRecord[] = [];
    const untried = [...plan.steps];
    let charged = 0;
    let triesOfTarget = 0;
    let loadingSinceMs: number | null = null;
    let lastError: UpstreamError | null = null;
    for (let again: PlanStep | null = null; ; ) {
      const lease = await this.#leaseNext(again, untried, signal);
      if (lease instanceof UpstreamError) return { kind: 'failed', error: preferred(lastError, lease), attempts };
      if (lease === null) {
        return { kind: 'failed', error: lastError ?? new UpstreamError('overloaded', 'all slots are taken'), attempts };
      }
      const { step } = lease;
      triesOfTarget = again === null ? 1 : triesOfTarget + 1;
      this.#directory.used(lease.held.choice.entry);
      lease.held.choice.entry.stats.started();
      const result = await runAttempt(request, step, lease.held, signal, this.#clock);
      attempts.push(result.record);
      if (result.kind !== 'failed') {
        this.#directory.succeeded(lease.held.choice.entry);
        return { kind: 'committed', committed: result, lease: lease.held, attempts };
      }
      lease.held.release();
      this.#directory.failed(lease.held.choice.entry, step.model, result.error);
      const nowMs = this.#clock.nowMs();
      if (result.error.kind === 'modelLoading') loadingSinceMs ??= nowMs;
      charged++;
      const decision = nextStep({
        error: result.error,
        step,
        untried: untried.length,
        attemptsLeft: plan.maxAttempts - charged,
        triesOfTarget,
        loadingForMs: loadingSinceMs === null ? 0 : nowMs - loadingSinceMs,
        timeLeftMs: deadlineMs - nowMs,
        retryDelayMs: this.#options.retryDelayMs,
        random: Math.random(),
      });
      lastError = preferred(lastError, result.error);
      if (decision.do === 'stop' || signal.aborted) return { kind: 'failed', error: lastError, attempts };
      if (decision.do === 'same-again' && decision.free) charged--;
      const pause = await this.#pause(decision, signal);
      if (pause !== null) return { kind: 'failed', error: pause, attempts };
      again = decision.do === 'same-again' ? step : null;
    }
  }

  /** A slot at the next step that has one: null when none is left, an error when waiting for one failed. */
  async #leaseNext(
    again: PlanStep | null,
    untried: PlanStep[],
    signal: AbortSignal,
  ): Promise<{ readonly step: PlanStep; readonly held: Lease } | UpstreamError | null> {
    if (again !== null) {
      const held = await this.#hold([again], signal);
      return held instanceof UpstreamError ? held : { step: again, held: held.held };
    }
    for (let step = untried[0]; step !== undefined && !step.waits; step = untried[0]) {
      untried.shift();
      const choice = this.#choice(step);
      const held = choice === null ? null : this.#slots.take(choice);
      if (held !== null) return { step, held };
      // Filled up since the plan was made: it may still be waited for, after everybody else.
      if (choice !== null) untried.push({ ...step, waits: true });
    }
    if (untried.length === 0) return null;
    const held = await this.#hold(untried, signal);
    if (held instanceof UpstreamError) return held;
    untried.splice(untried.indexOf(held.step), 1);
    return held;
  }

  async #hold(
    steps: readonly PlanStep[],
    signal: AbortSignal,
  ): Promise<{ readonly step: PlanStep; readonly held: Lease } | UpstreamError> {
    const choices = new Map<SlotChoice, PlanStep>();
    for (const step of steps) {
      const choice = this.#choice(step);
      if (choice !== null) choices.set(choice, step);
    }
    const [only] = choices;
    if (only === undefined) return new UpstreamError('unreachable', 'the target was removed');
    try {
      const held =
        (choices.size === 1 ? this.#slots.take(only[0]) : null) ??
        (await this.#slots.wait([...choices.keys()], this.#options.queueTimeoutMs, signal));
      return { step: choices.get(held.choice) ?? only[1], held };
    } catch (thrown) {
      return asUpstreamError(thrown);
    }
  }

  #choice(step: PlanStep): SlotChoice | null {
    const entry = this.#directory.get(step.target.id);
    if (entry === undefined) return null;
    const info = entry.snapshot === null ? null : modelIndex(entry.snapshot).find(step.model);
    return { entry, model: step.model, info };
  }

  async #pause(decision: NextStep, signal: AbortSignal): Promise<UpstreamError | null> {
    if (decision.do !== 'same-again' || decision.delayMs <= 0) return null;
    return new Promise((resolve) => {
      const onAbort = (): void => {
        cancel();
        resolve(asUpstreamError(signal.reason));
      };
      const cancel = this.#clock.after(decision.delayMs, () => {
        signal.removeEventListener('abort', onAbort);
        resolve(null);
      });
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}

/**
 * Of two failures the one that helps the client more: what is wrong with its request beats what is wrong with a
 * server, and the newest beats the older.
 */
function preferred(older: UpstreamError | null, newer: UpstreamError): UpstreamError {
  return older?.kind === 'contextTooLong' && newer.kind !== 'cancelled' ? older : newer;
}
