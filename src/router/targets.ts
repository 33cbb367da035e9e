import type { ProviderAdapter } from '../core/adapter.ts';
import type { Clock } from '../core/clock.ts';
import type { UpstreamError } from '../core/failure.ts';
import { FAILURE_RULES, wordsToKeep } from '../core/failure.ts';
import { NO_PROMPT, type PromptFacts } from '../core/prompt.ts';
import type { TargetChanges } from '../core/reload.ts';
import type { AdapterKind, Target, TargetId, TargetSnapshot } from '../core/target.ts';
import type { TargetView } from '../core/target-view.ts';
import type { Usage } from '../core/usage.ts';
import { type BreakerEvent, type BreakerState, CLOSED, isOnTrial, nextBreakerState } from './breaker.ts';
import { nextCooldown } from './cooldown.ts';
import { expectedLoadSeconds } from './cost.ts';
import type { LeftLoad, LiveCall } from './learned/activity.ts';
import { SpeedBook } from './learned/speed-book.ts';
import { modelsAfterLoad } from './load-guard.ts';
import { modelIndex } from './model-index.ts';
import { reconciliation } from './reconcile.ts';
import { RETRY_BUDGET_DEFAULTS, RetryBudget, type RetryBudgetOptions } from './retry-budget.ts';
import { slotUseByName, TargetEntry, viewOf } from './target-entry.ts';

export { TargetEntry } from './target-entry.ts';

/** One upstream call, as far as the health of its target goes. */
export interface CallOnTarget {
  readonly entry: TargetEntry;
  /** As it was configured when the call began: its address, its key, its clocks. */
  readonly target: Target;
  readonly model: string;
  /** It was let through to see whether the target works again. */
  readonly isTrial: boolean;
  /** `entry.outages` when it began. */
  readonly outages: number;
  /** What it teaches of the target's speeds. */
  readonly live: LiveCall;
}

/** The live directory: which targets exist, and their health. One per gateway. */
export class TargetDirectory {
  #entries = new Map<TargetId, TargetEntry>();
  readonly #adapters: ReadonlyMap<AdapterKind, ProviderAdapter>;
  readonly #clock: Clock;
  readonly #retryBudget: RetryBudgetOptions;
  readonly #answeringListeners: ((entry: TargetEntry) => void)[] = [];
  readonly #listeners: ((entry: TargetEntry, isBack: boolean) => void)[] = [];
  readonly #book: SpeedBook;
  #list: readonly TargetEntry[] = [];
  #sequence = 0;
  #changes = 0;

  constructor(
    adapters: ReadonlyMap<AdapterKind, ProviderAdapter>,
    clock: Clock,
    retryBudget: RetryBudgetOptions = RETRY_BUDGET_DEFAULTS,
    book: SpeedBook = new SpeedBook(clock),
  ) {
    this.#adapters = adapters;
    this.#clock = clock;
    this.#retryBudget = retryBudget;
    this.#book = book;
  }

  /** Adds or replaces. Requests in flight keep the target they began with. Throws for an adapter kind that is not built in. */
  put(target: Target): TargetEntry {
    const entry = this.#entryOf(target);
    const old = this.#entries.get(target.id);
    this.#entries.set(target.id, entry);
    this.#list = [...this.#entries.values()];
    this.#changed(entry);
    if (old !== undefined) this.#retire(old);
    return entry;
  }

  #entryOf(target: Target): TargetEntry {
    const adapter = this.#adapters.get(target.adapterKind);
    if (adapter === undefined) throw new Error(`no adapter of kind "${target.adapterKind}" for target "${target.id}"`);
    return new TargetEntry(target, adapter, new RetryBudget(this.#clock, this.#retryBudget), this.#book);
  }

  remove(id: TargetId): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#list = [...this.#entries.values()];
    this.#retire(entry);
  }

  /** Only its running requests go on; whoever waits for it is told. */
  #retire(entry: TargetEntry): void {
    entry.retired = true;
    this.#changed(entry);
  }

  /**
   * Makes the list what the configuration says, at once. A target on the same server as before keeps its health, its
   * counts and its slots, however it is configured now. Requests in flight end at the target they began with.
   */
  reconcile(wanted: readonly Target[]): TargetChanges {
    const before = this.#entries;
    const plan = reconciliation(
      [...before.values()].map(({ target }) => target),
      wanted,
    );
    const made = new Map(wanted.filter(({ id }) => plan.renewed.has(id)).map((each) => [each.id, this.#entryOf(each)]));
    const changed = new Set(plan.changes.changed);
    // Nothing below throws: it is done whole or, above, not at all.
    const after = new Map<TargetId, TargetEntry>();
    for (const target of wanted) {
      const entry = made.get(target.id) ?? (before.get(target.id) as TargetEntry);
      if (changed.has(target.id)) reconfigure(entry, target);
      after.set(target.id, entry);
    }
    this.#entries = after;
    this.#list = [...after.values()];
    for (const [id, entry] of after) if (changed.has(id) || !before.has(id)) this.#changed(entry);
    for (const [id, entry] of before) if (after.get(id) !== entry) this.#retire(entry);
    return plan.changes;
  }

  has(id: TargetId): boolean {
    return this.#entries.has(id);
  }

  get(id: TargetId): TargetEntry | undefined {
    return this.#entries.get(id);
  }

  /** In order of configuration. */
  entries(): readonly TargetEntry[] {
    return this.#list;
  }

  views(): TargetView[] {
    const nowMs = this.#clock.nowMs();
    return this.#list.map((entry) => viewOf(entry, nowMs));
  }

  /**
   * Told whenever a target comes, goes, is configured anew or probed, or its health changes: the probe loop and the
   * queue listen.
   */
  onChange(listener: (entry: TargetEntry, isBack: boolean) => void): void {
    this.#listeners.push(listener);
  }

  /** How often listeners of `onChange` were told: as long as it stays the same, so do the targets that may be asked. */
  get changes(): number {
    return this.#changes;
  }

  /** Told whenever an answer has begun. */
  onAnswering(listener: (entry: TargetEntry) => void): void {
    this.#answeringListeners.push(listener);
  }

  /** A call begins. While the target is on trial this takes the one place of the trial, if that is free. */
  begin(entry: TargetEntry, model: string, prompt: PromptFacts = NO_PROMPT): CallOnTarget {
    entry.lastUsedSequence = ++this.#sequence;
    entry.stats.started();
    const nowMs = this.#clock.nowMs();
    entry.silence.began(nowMs);
    const meter = entry.openMeter(model);
    meter.cache.resize(slotUseByName(entry, model).slots);
    const live = entry.activity.began(
      meter,
      model,
      prompt,
      isLoaded(entry, model),
      nowMs,
      this.#book.usual(entry.target.place, model).bytesPerToken,
    );
    const { breaker } = entry;
    const isTrial = (breaker.name === 'half-open' || breaker.name === 'warming') && !isOnTrial(breaker);
    if (isTrial) this.#breaker(entry, 'trial-started');
    if (!live.loaded) entry.loadChangedAtMs = nowMs;
    return { entry, target: entry.target, model, isTrial, outages: entry.outages, live };
  }

  /** The first real content came, so long after the call began. */
  answering(call: CallOnTarget, firstContentMs: number): void {
    const { entry, isTrial, live, model } = call;
    const nowMs = this.#clock.nowMs();
    entry.lastSuccessAtMs = nowMs;
    entry.activity.answering(live, nowMs);
    if (!live.loaded) {
      entry.lastLoad = { endedAtMs: nowMs, tookMs: firstContentMs };
      this.#loaded(entry, model);
    }
    entry.silence.answered(firstContentMs);
    if (isTrial || entry.breaker.name === 'ramping') this.#result(call, 'content');
    for (const listener of this.#answeringListeners) listener(entry);
  }

  /** It answers, so it has the model in memory: others need not wait for the next probe to say so. */
  #loaded(entry: TargetEntry, model: string): void {
    const { snapshot } = entry;
    if (snapshot === null) return;
    entry.snapshot = { ...snapshot, models: modelsAfterLoad(entry, snapshot.models, model) };
    entry.loadChangedAtMs = this.#clock.nowMs();
    // What it threw out for it, only a probe can tell.
    entry.wantsProbe = true;
    this.#changed(entry);
  }

  /** The whole reply is there; what becomes of it is not known yet. */
  answered({ entry, live }: CallOnTarget, usage: Usage | null): void {
    entry.activity.finished(live, usage, this.#clock.nowMs());
  }

  /** The reply came to its proper end. */
  finished(call: CallOnTarget, durationMs: number, usage: Usage | null = null): void {
    const { entry, live } = call;
    const nowMs = this.#clock.nowMs();
    entry.activity.finished(live, usage, nowMs);
    this.#learned(call, usage);
    entry.stats.served(durationMs);
    entry.lastSuccessAtMs = nowMs;
    if (entry.breaker !== CLOSED) this.#result(call, 'success');
  }

  /** The call ended for a reason that says nothing of the target: the client left, our own clock ran out. */
  givenUp(call: CallOnTarget, wasSent = true): void {
    const { entry, isTrial, live } = call;
    if (wasSent) this.#leftLoading(entry, live);
    else entry.stats.notMade();
    entry.activity.ended(live, this.#clock.nowMs());
    entry.silence.givenUp();
    if (isTrial) this.#result(call, 'neutral');
  }

  /** The call failed: what that says of the target's health is the failure table's word. */
  failed(call: CallOnTarget, error: UpstreamError, usage: Usage | null = null): void {
    const { entry, model, live } = call;
    const words = wordsToKeep(error.kind, error.message, error.status);
    entry.stats.failed(error.kind, words.slice(0, MOST_WORDS), this.#clock.wallMs());
    // A key that was replaced, or a clock that was too short, is no fault of what is configured now.
    if (call.target !== entry.target) {
      this.givenUp(call);
      return;
    }
    if (error.kind === 'timeout') this.#leftLoading(entry, live);
    entry.activity.finished(live, usage, this.#clock.nowMs());
    this.#learned(call, usage);
    if (error.kind === 'timeout' || error.kind === 'unreachable') entry.silence.unanswered();
    else entry.silence.answered(null);
    entry.cooldown = nextCooldown(entry.cooldown, error, this.#clock.nowMs());
    if (error.kind === 'modelMissing') {
      this.#book.missing(entry.target, model);
      // OpenRouter also says it of one request (a capability, a provider's preferences) that another would not meet.
      if (entry.target.adapterKind !== 'openrouter') forgetModel(entry, model);
    }
    this.#result(
      call,
      error.kind === 'modelLoading' ? 'loading' : HEALTH_EVENTS[FAILURE_RULES[error.kind].hurtsHealth],
    );
  }

  /**
   * The server goes on loading for a request that was given up, for as long as a load takes: until then it is not made
   * to load another. What it says itself counts before that.
   */
  #leftLoading(entry: TargetEntry, live: LiveCall): void {
    const nowMs = this.#clock.nowMs();
    const left = entry.adapter.loadsOnDemand ? entry.activity.leftLoading(live, nowMs) : null;
    if (left === null) return;
    this.#clock.after(this.#loadRestMs(entry, left, live), () => {
      if (entry.activity.loadIsOver(left)) this.#changed(entry);
    });
    entry.wantsProbe = true;
    this.#changed(entry);
  }

  /** No longer than a load may take: LM Studio says nothing of one that it goes on with, nor of one that it gave up. */
  #loadRestMs({ target, snapshot }: TargetEntry, { model, sinceMs }: LeftLoad, { meter }: LiveCall): number {
    const info = snapshot === null ? null : modelIndex(snapshot).find(model);
    const expectedMs = expectedLoadSeconds(meter, this.#book.usual(target.place, model), info) * 1000;
    const lastsMs = Math.min(target.clocks.warmupMs, expectedMs * LOAD_SLACK);
    const restMs = lastsMs - (this.#clock.nowMs() - sinceMs);
    // It takes longer than expected: nobody knows how much.
    return restMs > 0 ? restMs : lastsMs;
  }

  /** A name is kept from the first lesson on. */
  #learned({ entry, model, live }: CallOnTarget, usage: Usage | null): void {
    if (usage !== null && live.contentAtMs !== null) this.#book.learned(entry.target, model, live.meter);
  }

  /** What a call says counts only for the state that it began in: a target that came back need not atone for older ones. */
  #result({ entry, isTrial, outages }: CallOnTarget, event: BreakerEvent): void {
    if (outages !== entry.outages) return;
    const onTrial = entry.breaker.name === 'half-open' || entry.breaker.name === 'warming';
    if (!onTrial || isTrial) this.#breaker(entry, event);
  }

  /** `startedAtMs`: when it was asked. */
  probed(entry: TargetEntry, found: TargetSnapshot, startedAtMs = Number.POSITIVE_INFINITY): void {
    const snapshot = entry.snapshot === null ? found : asOfNow(entry, entry.snapshot, found, startedAtMs);
    const wasWarming = entry.snapshot?.warming === true;
    const isNew = entry.probedAtWallMs === null;
    forgetUnloaded(entry, snapshot);
    endLeftLoad(entry, snapshot, startedAtMs);
    const foreign = foreignRequests(entry, snapshot);
    // A request of ours may be counted by one side and not by the other for a moment: twice in a row it is no such thing.
    entry.foreign = Math.min(foreign, entry.foreignAtProbe);
    entry.foreignAtProbe = foreign;
    entry.snapshot = snapshot;
    // What was never up has not failed anybody: it needs no trial.
    if (!entry.everUp) entry.breaker = CLOSED;
    entry.everUp = true;
    entry.probeFailure = null;
    entry.silence.probed();
    entry.probedAtWallMs = this.#clock.wallMs();
    if (snapshot.warming) this.#breaker(entry, 'loading');
    // It said so itself when it was loading, so its word that it is done needs no trial.
    else if (wasWarming && entry.breaker.name === 'warming') this.#breaker(entry, 'success');
    else this.#breaker(entry, 'probe-ok');
    this.#changed(entry, isNew);
  }

  /** Why a probe failed: a server that is only slow or confused may still serve. */
  probeFailed(entry: TargetEntry, error: UpstreamError): void {
    const first = entry.probedAtWallMs === null;
    const repeated = entry.probeFailure !== null;
    // Nobody listens there; otherwise it only did not answer in time, which a busy server may do too.
    const certain = error.kind === 'unreachable';
    entry.probeFailure = { message: error.message, silent: certain || error.kind === 'timeout' };
    entry.probedAtWallMs = this.#clock.wallMs();
    entry.foreign = 0;
    if (certain || first || repeated) this.#breaker(entry, 'probe-failed');
    if (first) this.#changed(entry);
  }

  #breaker(entry: TargetEntry, event: BreakerEvent): void {
    const before = entry.breaker;
    entry.breaker = nextBreakerState(before, event, this.#clock.nowMs());
    if (before.name !== 'open' && entry.breaker.name === 'open') this.#wentDown(entry);
    if (mayServeMore(before, entry.breaker)) this.#changed(entry, before.name === 'open');
  }

  #wentDown(entry: TargetEntry): void {
    entry.outages++;
    this.#book.clearCaches(entry.target);
  }

  /** `isBack`: it may be asked, and might not before. */
  #changed(entry: TargetEntry, isBack = false): void {
    this.#changes++;
    for (const listener of this.#listeners) listener(entry, isBack);
  }
}

/** A load that goes on unseen is waited for so much longer than it is expected to take. */
const LOAD_SLACK = 1.5;

/** Of an error on the status page, characters. */
const MOST_WORDS = 300;

/** The queue and the probe loop want to know of another state, of a trial that may begin, and of a ramp's next step. */
function mayServeMore(before: BreakerState, after: BreakerState): boolean {
  return (
    before.name !== after.name ||
    isOnTrial(before) !== isOnTrial(after) ||
    (after.name === 'ramping' && before !== after)
  );
}

/** What was learned of the server stays; what its account was told off for does not, once it has another key. */
function reconfigure(entry: TargetEntry, target: Target): void {
  if (entry.target.apiKey?.reveal() !== target.apiKey?.reveal()) entry.cooldown = null;
  entry.target = target;
  entry.wantsProbe = true;
}

const HEALTH_EVENTS = { down: 'down', counts: 'failure', no: 'neutral' } as const;

/** A probe that was on its way while a model was loaded for us may tell of the time before. */
function asOfNow(
  entry: TargetEntry,
  known: TargetSnapshot,
  found: TargetSnapshot,
  startedAtMs: number,
): TargetSnapshot {
  if (startedAtMs >= entry.loadChangedAtMs) return found;
  entry.wantsProbe = true;
  return { ...found, models: known.models };
}

function foreignRequests({ inFlight }: TargetEntry, { load }: TargetSnapshot): number {
  return load === null ? 0 : Math.max(0, load.running + load.waiting - inFlight);
}

function isLoaded({ snapshot }: TargetEntry, model: string): boolean {
  const info = snapshot === null ? null : modelIndex(snapshot).find(model);
  return info === null || info.state === 'loaded';
}

/** Its server says what became of the load of a request that was given up. */
function endLeftLoad({ activity, adapter }: TargetEntry, { models }: TargetSnapshot, startedAtMs: number): void {
  const { leftLoad } = activity;
  if (leftLoad === null || startedAtMs < leftLoad.leftAtMs) return;
  const state = models.find(({ id }) => id === leftLoad.model)?.state ?? 'on-disk';
  // LM Studio goes on loading for a client that has left, and calls the model unloaded until it is done.
  if (state === 'loaded' || (state === 'on-disk' && !adapter.finishesPrompt)) activity.loadIsOver(leftLoad);
}

/** A model that left the memory took its cached prompts with it. */
function forgetUnloaded(entry: TargetEntry, next: TargetSnapshot): void {
  if (entry.snapshot === null || entry.target.place === 'cloud') return;
  const after = modelIndex(next);
  for (const { id, state } of entry.snapshot.models) {
    if (state === 'loaded' && after.find(id)?.state !== 'loaded') entry.meter(id).cache.clear();
  }
}

/** The server says it lacks the model that it listed: believe it until the next probe. */
function forgetModel(entry: TargetEntry, missing: string): void {
  if (entry.snapshot === null) return;
  const models = entry.snapshot.models.filter((model) => model.id !== missing);
  entry.snapshot = { ...entry.snapshot, models };
}
