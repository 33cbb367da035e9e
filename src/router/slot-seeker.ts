import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { PlanStep } from '../core/plan.ts';
import type { TargetId } from '../core/target.ts';
import { asUpstreamError } from './attempt.ts';
import type { Lease } from './lease.ts';
import type { Patience, SlotTable } from './load.ts';
import type { PlanWalk, Retry } from './plan-walk.ts';
import type { SlotChoice } from './slot-choice.ts';
import type { TargetDirectory, TargetEntry } from './targets.ts';

export interface Taken {
  readonly step: PlanStep;
  readonly lease: Lease;
}

/** Finds a slot for the next step of a walk: a free one, or one that is worth waiting for. */
export class SlotSeeker {
  readonly #directory: TargetDirectory;
  readonly #slots: SlotTable;
  readonly #clock: Clock;
  readonly #queueTimeoutMs: number;

  /** `queueTimeoutMs`: longest wait for a slot at targets that have no limit of their own. */
  constructor(directory: TargetDirectory, slots: SlotTable, clock: Clock, queueTimeoutMs: number) {
    this.#directory = directory;
    this.#slots = slots;
    this.#clock = clock;
    this.#queueTimeoutMs = queueTimeoutMs;
  }

  /** Whether it may be asked once more. */
  mayRetry(step: PlanStep): boolean {
    const entry = this.entryOf(step);
    if (entry === null || entry.retryBudget.isSpent) return false;
    if (entry.breaker.name !== 'open') return true;
    // While it is down one request at a time may hope that it comes back; the others are told at once.
    return entry.retriesPending === 0 && entry.probeFailure?.silent !== true;
  }

  /** Puts the step first once more, paid for now, and waits until it may be asked. Resolves with what ends the walk instead. */
  async again(walk: PlanWalk, retry: Retry): Promise<UpstreamError | null> {
    const entry = this.entryOf(retry.step);
    entry?.retryBudget.withdraw();
    if (entry !== null && (await this.#pause(walk, retry, entry))) return walk.cancellation.cause;
    walk.again(retry);
    // Others may have come back during the pause: better one that was not asked yet.
    if (entry !== null && walk.untried.length === 1) {
      await this.extend(walk);
      walk.newcomersFirst();
    }
    return walk.cancellation.cause;
  }

  /** Until it may be asked again. True: there is something better to do by then, or it is over. */
  async #pause(walk: PlanWalk, { readyAtMs }: Retry, entry: TargetEntry): Promise<boolean> {
    entry.retriesPending++;
    try {
      for (let leftMs = readyAtMs - this.#clock.nowMs(); leftMs > 0; leftMs = readyAtMs - this.#clock.nowMs()) {
        const somebodyCame = await this.#slots.rest(leftMs, walk.deadlineMs, walk.cancellation);
        if (!somebodyCame) return false;
        await this.extend(walk);
        if (walk.cancellation.cause !== null || walk.untried.some(({ resting }) => !resting)) return true;
      }
      return false;
    } catch {
      return true;
    } finally {
      entry.retriesPending--;
    }
  }

  /** A slot for the next step that has one, or gets one. Resolves with what ends the walk instead. */
  async seek(walk: PlanWalk): Promise<Taken | UpstreamError> {
    return this.#takeFree(walk) ?? (await this.#waitForSlot(walk));
  }

  /** A slot for the next step that has one now; nobody is waited for. */
  seekFree(walk: PlanWalk): Taken | UpstreamError {
    return this.#takeFree(walk) ?? walk.lastError ?? nobodyLeft();
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
  async #waitForSlot(walk: PlanWalk): Promise<Taken | UpstreamError> {
    const brief = walk.briefWaits();
    if (brief.length > 0) return this.#waitBriefly(walk, brief);
    if (this.#isNews(walk) && (await this.#lookAround(walk))) return walk.cancellation.cause ?? this.seek(walk);
    const choices = this.#choices(walk.untried, walk);
    if (choices.size === 0) return this.#afterVainWait(walk, walk.lastError ?? nobodyLeft());
    const retry = this.#firstRetry(walk);
    const sinceMs = this.#clock.nowMs();
    try {
      const patience = this.#patience(walk, choices.keys(), retry);
      const lease = await this.#slots.wait([...choices.keys()], patience, walk.cancellation);
      if (lease !== null) return this.#taken(walk, lease, choices);
      walk.waitedMs += this.#clock.nowMs() - sinceMs;
      await this.#lookAround(walk);
      return walk.cancellation.cause ?? this.seek(walk);
    } catch (thrown) {
      walk.waitedMs += this.#clock.nowMs() - sinceMs;
      if (walk.cancellation.cause !== null) return walk.cancellation.cause;
      const isCutShort = retry !== null && this.#isDue(retry);
      return isCutShort ? this.#retryDue(walk) : this.#afterVainWait(walk, asUpstreamError(thrown));
    }
  }

  #isNews(walk: PlanWalk): boolean {
    return walk.replans < MAX_REPLANS - 2 && walk.isNews(this.#directory.changes, this.#clock.nowMs());
  }

  /** Before a long wait: somebody may have come back since the plan was made. True: there are further steps. */
  async #lookAround(walk: PlanWalk): Promise<boolean> {
    walk.madeAnew(this.#directory.changes, this.#clock.nowMs());
    const known = new Set(walk.untried.map(({ target }) => target.id));
    const steps = await walk.replan(new Set([...walk.tried(), ...known]));
    walk.untried.push(...steps);
    walk.newcomersFirst();
    return steps.length > 0 || walk.cancellation.cause !== null;
  }

  /** Waits as long as that is expected to be better than a target that is free. */
  async #waitBriefly(walk: PlanWalk, steps: readonly PlanStep[]): Promise<Taken | UpstreamError> {
    const choices = this.#choices(steps, walk);
    const timeoutMs = Math.min(
      Math.max(...steps.map(({ waitAtMostMs }) => waitAtMostMs ?? 0)),
      this.#patience(walk, choices.keys(), null).timeoutMs,
    );
    const worthUntilMs = this.#clock.nowMs() + timeoutMs;
    const patience = { timeoutMs, deadlineMs: walk.deadlineMs, hasOther: true, mayReplan: false, worthUntilMs };
    try {
      const lease = await this.#slots.wait([...choices.keys()], patience, walk.cancellation);
      if (lease !== null) return this.#taken(walk, lease, choices);
    } catch {
      if (walk.cancellation.cause !== null) return walk.cancellation.cause;
    }
    // Who has waited for all that it was worth goes on; before that, what is best by now is asked anew.
    const isOver = this.#clock.nowMs() + TIMER_SLACK_MS >= worthUntilMs;
    if (isOver || !(await this.#planAnew(walk))) walk.putOff(steps);
    return walk.cancellation.cause ?? this.seek(walk);
  }

  /** What is best now that the wait is worse than expected? False: that was asked too often, or nobody is left. */
  async #planAnew(walk: PlanWalk): Promise<boolean> {
    if (walk.replans >= MAX_WORSE_WAITS) return false;
    walk.madeAnew(this.#directory.changes, this.#clock.nowMs());
    const steps = await walk.replan(walk.tried());
    if (steps.length === 0) return false;
    walk.planAnew(steps);
    return true;
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
  async #retryDue(walk: PlanWalk): Promise<Taken | UpstreamError> {
    const retry = this.#firstRetry(walk);
    const isDue = retry !== null && this.#isDue(retry);
    return isDue ? this.#retryInstead(walk, retry) : this.#waitForSlot(walk);
  }

  #isDue({ readyAtMs }: Retry): boolean {
    return readyAtMs <= this.#clock.nowMs() + TIMER_SLACK_MS;
  }

  /** One that asked to be left alone may be asked again: what else is waited for keeps its place in the walk. */
  async #retryInstead(walk: PlanWalk, retry: Retry): Promise<Taken | UpstreamError> {
    return (await this.again(walk, retry)) ?? this.seek(walk);
  }

  /** The target that may be asked again soonest, if the retry limit allows it; null: none. */
  #firstRetry(walk: PlanWalk): Retry | null {
    // The last attempt is for one that was not asked yet.
    const spared = walk.awaitsUntried ? 1 : 0;
    if (walk.charged >= walk.maxAttempts - spared) return null;
    const allowed = walk.retryable.filter(({ step }) => this.mayRetry(step));
    return allowed.reduce<Retry | null>(
      (best, retry) => (best === null || retry.readyAtMs < best.readyAtMs ? retry : best),
      null,
    );
  }

  /** Those that were waited for went down, were removed, or were too slow: is there anybody else by now? */
  async #afterVainWait(walk: PlanWalk, error: UpstreamError): Promise<Taken | UpstreamError> {
    const waitedFor = walk.dropWaiting(error);
    if (walk.cancellation.cause !== null) return walk.cancellation.cause;
    if (walk.untried.length === 0) await this.extend(walk, error.kind === 'unreachable' ? [] : waitedFor);
    if (walk.cancellation.cause !== null) return walk.cancellation.cause;
    if (walk.untried.length > 0) return this.seek(walk);
    const retry = this.#firstRetry(walk);
    return retry === null || retry.readyAtMs >= walk.deadlineMs ? error : this.#retryInstead(walk, retry);
  }

  /** Adds what would be planned now, but for those tried and `without`. */
  async extend(walk: PlanWalk, without: readonly TargetId[] = []): Promise<void> {
    if (walk.replans >= MAX_REPLANS || !walk.isNews(this.#directory.changes, this.#clock.nowMs())) return;
    walk.madeAnew(this.#directory.changes, this.#clock.nowMs());
    walk.untried.push(...(await walk.replan(new Set([...walk.tried(), ...without]))));
  }

  /** As long as the most patient of them allows; a model that is loading is waited for up to its warm-up limit. */
  #patience(walk: PlanWalk, choices: Iterable<SlotChoice>, retry: Retry | null): Patience {
    let timeoutMs = 0;
    for (const { entry } of choices) {
      const { queueMs, warmupMs } = entry.target.clocks;
      timeoutMs = Math.max(timeoutMs, queueMs ?? this.#queueTimeoutMs);
      if (entry.breaker.name === 'warming' || entry.activity.isLoadingAny) timeoutMs = Math.max(timeoutMs, warmupMs);
    }
    timeoutMs = Math.max(0, timeoutMs - walk.waitedMs);
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
    const entry = this.entryOf(step);
    if (entry === null) return null;
    return { entry, model: step.model, outOfTurn: step.resting || walk.isRetry(step), prompt: walk.prompt };
  }

  /**
   * Where the step leads now: a target that was configured anew is asked as it is now. null: it was removed, or its
   * name means something else, which the request may be forbidden to go to.
   */
  entryOf({ target }: PlanStep): TargetEntry | null {
    const entry = this.#directory.get(target.id);
    if (entry === undefined) return null;
    const { place, adapterKind } = entry.target;
    return place === target.place && adapterKind === target.adapterKind ? entry : null;
  }
}

/** Timers count whole milliseconds, so that one that was set for the very moment may fire a little before it. */
const TIMER_SLACK_MS = 1;

/** A fleet that comes and goes must not keep one request busy for ever. */
const MAX_REPLANS = 8;
/** Somebody else may still be needed after waits that got worse. */
const MAX_WORSE_WAITS = 4;

function nobodyLeft(): UpstreamError {
  return new UpstreamError('unreachable', 'no target is left that could serve this request now', {
    retryAfterMs: 1_000,
  });
}
