import type { ProviderAdapter } from '../core/adapter.ts';
import type { ModelInfo, ServerLoad, Target, TargetSnapshot } from '../core/target.ts';
import type { LearnedModel, TargetHealth, TargetView } from '../core/target-view.ts';
import { type BreakerState, CLOSED, concurrencyLimit } from './breaker.ts';
import type { Cooldown } from './cooldown.ts';
import { Activity } from './learned/activity.ts';
import { ModelMeter } from './learned/model-meter.ts';
import { SpeedBook } from './learned/speed-book.ts';
import { mustNotLoad } from './load-guard.ts';
import { modelIndex } from './model-index.ts';
import type { RetryBudget } from './retry-budget.ts';
import { RunningMean } from './running-mean.ts';
import { Silence } from './silence.ts';
import { TargetStatsCounter } from './target-stats.ts';

export interface ProbeFailure {
  readonly message: string;
  /** Nobody listens there, or nobody answers; false: it answered, though not well. */
  readonly silent: boolean;
}

/** A target with all that is known of it now. Planning only reads it; the directory and the slot table write. */
export class TargetEntry {
  /** As it is configured now. A reload may change it while calls are in flight; they keep the one they began with. */
  target: Target;
  readonly adapter: ProviderAdapter;
  readonly stats = new TargetStatsCounter();
  /** Latest good probe; null: none yet. */
  snapshot: TargetSnapshot | null = null;
  breaker: BreakerState = CLOSED;
  cooldown: Cooldown | null = null;
  /** The latest probe failed; null: it did not, or there was none. */
  probeFailure: ProbeFailure | null = null;
  probedAtWallMs: number | null = null;
  /** It answered a probe at least once: from then on its absence is worth telling. */
  everUp = false;
  inFlight = 0;
  /** Slots of cancelled requests whose prompt the server reads to its end all the same (SlotLease.release). */
  settling = 0;
  /** In flight and settling. */
  readonly busyByModel = new Map<string, number>();
  /** Requests of others that run there or wait there, as the server said at its latest two probes at least. */
  foreign = 0;
  foreignAtProbe = 0;
  /** Requests that wait for a slot which this target may give. */
  queued = 0;
  /** The same, each counted as one part of all the targets that it waits for. */
  queuedShare = 0;
  /** No longer configured, or replaced by another server: only its running requests go on. */
  retired = false;
  /** How often it went out of rotation: calls that began before the latest time say nothing about it now. */
  outages = 0;
  /** How long requests hold a slot. */
  readonly holdTime = new RunningMean();
  readonly silence = new Silence();
  /** Requests that wait to ask it again while it is out of rotation. */
  retriesPending = 0;
  /** Order of last use over all targets; 0: never. Round robin picks the smallest. */
  lastUsedSequence = 0;
  /** When it last gave bytes to a request (monotonic ms): outranks a probe that timed out on a busy server. */
  lastSuccessAtMs = Number.NEGATIVE_INFINITY;

  /** Since when a request waits for this model to be loaded, which others at work prevent; null: none does. Monotonic ms. */
  loadWanted: { readonly model: string; readonly sinceMs: number } | null = null;
  /** When it last began or ended to load a model for one of our requests: what a probe saw before is out of date. */
  loadChangedAtMs = Number.NEGATIVE_INFINITY;
  /** The latest load of a model that was seen to end; monotonic. */
  lastLoad: { readonly endedAtMs: number; readonly tookMs: number } | null = null;
  /** Its models may have changed, or it is configured anew, since its latest probe began: to be probed soon. */
  wantsProbe = false;
  /** What it reads and writes now. */
  readonly activity: Activity;
  /** How often it may be asked out of turn. */
  readonly retryBudget: RetryBudget;
  /** Speeds of the whole fleet. */
  readonly book: SpeedBook;

  constructor(target: Target, adapter: ProviderAdapter, retryBudget: RetryBudget, book = new SpeedBook()) {
    this.target = target;
    this.adapter = adapter;
    this.retryBudget = retryBudget;
    this.activity = new Activity(target.place === 'local', adapter.countsOnlyRead);
    this.book = book;
  }

  /** What was learned of one of its models; to be read only. */
  meter(model: string): ModelMeter {
    return this.book.find(this.target, model) ?? NOTHING_LEARNED;
  }

  /** The same, to be written to: a call begins. */
  openMeter(model: string): ModelMeter {
    return this.book.open(this.target, model);
  }

  get health(): TargetHealth {
    if (this.probedAtWallMs === null) return 'unknown';
    if (this.target.optional && !this.everUp) return 'absent';
    if (this.breaker.name === 'open') return 'down';
    return this.breaker.name === 'warming' || this.snapshot?.warming === true ? 'warming' : 'up';
  }
}

const NOTHING_LEARNED = new ModelMeter();

/** How full a target is for one model. */
export interface SlotUse {
  readonly busy: number;
  /** Infinity: no limit. */
  readonly slots: number;
}

/**
 * LM Studio and llama.cpp give each loaded model its own slots; a limit that a person set, and servers that say
 * nothing, count over the whole target. The router counts for itself: desktop servers never say that they are busy.
 */
export function slotUse(entry: TargetEntry, model: ModelInfo | null): SlotUse {
  const use = slotUseInRotation(entry, model);
  // Only one at a time makes a server load a model, and nobody makes it throw out one that is at work.
  if (model !== null && mustNotLoad(entry, model)) return { busy: Math.max(1, use.busy), slots: Math.max(1, use.busy) };
  const limit = concurrencyLimit(entry.breaker);
  return limit < use.slots ? { busy: entry.inFlight + entry.settling, slots: limit } : use;
}

function slotUseInRotation(entry: TargetEntry, model: ModelInfo | null): SlotUse {
  const { target } = entry;
  if (model !== null && model.slots !== null && target.maxConcurrent === null && target.place === 'local') {
    return { busy: (entry.busyByModel.get(model.id) ?? 0) + entry.foreign, slots: model.slots };
  }
  return { busy: entry.inFlight + entry.settling + entry.foreign, slots: slotsOf(entry) ?? Number.POSITIVE_INFINITY };
}

/** The same by the model's name, as the target reports it now. */
export function slotUseByName(entry: TargetEntry, model: string): SlotUse {
  return slotUse(entry, entry.snapshot === null ? null : modelIndex(entry.snapshot).find(model));
}

/** Requests at once over the whole target; null: no limit. */
export function slotsOf({ target, snapshot, adapter, activity }: TargetEntry): number | null {
  if (target.maxConcurrent !== null) return target.maxConcurrent;
  if (target.place === 'cloud') return null;
  // Where the server does not say: as many as it was seen to write at once, until one had to wait.
  const assumed = Math.max(adapter.defaultSlots, activity.slots.seenAtOnce, shownBy(snapshot?.load ?? null));
  return snapshot?.slots ?? activity.slots.learned ?? assumed;
}

/** What others run there shows at least so many slots, and one more as long as nobody waits in the server. */
function shownBy(load: ServerLoad | null): number {
  if (load === null) return 0;
  return load.waiting === 0 ? load.running + 1 : load.running;
}

function learnedOf(entry: TargetEntry, nowMs: number): readonly LearnedModel[] {
  return entry.book.of(entry.target).map(([model, meter]) => ({
    model,
    prefillTokensPerSecond: meter.isMeasured && meter.reading.slope > 0 ? 1 / meter.reading.slope : null,
    decodeTokensPerSecond: inverse(meter.writing.secondsPerToken(1)),
    loadSeconds: meter.loadSeconds,
    networkSeconds: meter.isMeasured ? meter.reading.start : null,
    slots: entry.activity.slots.learned,
    bytesPerToken: meter.bytesPerToken,
    contextLength: meter.context.limitAt(nowMs),
    samples: meter.samples,
    conversations: meter.cache.size,
  }));
}

function inverse(value: number | null): number | null {
  return value === null ? null : 1 / value;
}

export function viewOf(entry: TargetEntry, nowMs: number): TargetView {
  const health = entry.health;
  const up = health === 'up' || health === 'warming';
  const stats = entry.stats.read();
  return {
    target: entry.target,
    health,
    healthReason: up ? null : (entry.probeFailure?.message ?? stats.lastError?.message ?? 'not probed yet'),
    snapshot: entry.snapshot,
    inFlight: entry.inFlight,
    queued: entry.queued,
    slots: slotsOf(entry),
    stats,
    probedAtWallMs: entry.probedAtWallMs,
    learned: learnedOf(entry, nowMs),
  };
}
