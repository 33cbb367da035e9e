import type { ProviderAdapter } from '../core/adapter.ts';
import type { Clock } from '../core/clock.ts';
import type { UpstreamError } from '../core/failure.ts';
import { FAILURE_RULES } from '../core/failure.ts';
import type { AdapterKind, Target, TargetId, TargetSnapshot } from '../core/target.ts';
import type { TargetHealth, TargetView } from '../core/target-view.ts';
import { type BreakerState, CLOSED, nextBreakerState } from './breaker.ts';
import { type Cooldown, nextCooldown } from './cooldown.ts';
import { TargetStatsCounter } from './target-stats.ts';

/** A target with all that is known of it now. Planning only reads it; the directory and the load table write. */
export class TargetEntry {
  readonly target: Target;
  readonly adapter: ProviderAdapter;
  readonly stats = new TargetStatsCounter();
  /** Latest good probe; null: none yet. */
  snapshot: TargetSnapshot | null = null;
  breaker: BreakerState = CLOSED;
  cooldown: Cooldown | null = null;
  /** The latest probe's verdict: null before the first. */
  probeFailure: { readonly message: string } | null = null;
  probedAtWallMs: number | null = null;
  /** It answered a probe at least once: from then on its absence is worth telling. */
  everUp = false;
  inFlight = 0;
  readonly inFlightByModel = new Map<string, number>();
  queued = 0;
  /** Order of last use over all targets; 0: never. Round robin picks the smallest. */
  lastUsedSequence = 0;
  /** When it last gave bytes to a request (monotonic ms): outranks a probe that timed out on a busy server. */
  lastSuccessAtMs = Number.NEGATIVE_INFINITY;

  constructor(target: Target, adapter: ProviderAdapter) {
    this.target = target;
    this.adapter = adapter;
  }

  get health(): TargetHealth {
    if (this.probedAtWallMs === null) return 'unknown';
    if (this.target.optional && !this.everUp) return 'absent';
    if (this.breaker.name === 'open') return 'down';
    return this.snapshot?.warming === true ? 'warming' : 'up';
  }
}

/** The live directory: which targets exist, and their health. One per gateway. */
export class TargetDirectory {
  readonly #entries = new Map<TargetId, TargetEntry>();
  readonly #adapters: ReadonlyMap<AdapterKind, ProviderAdapter>;
  readonly #clock: Clock;
  readonly #onChange = new Set<(entry: TargetEntry) => void>();
  #sequence = 0;

  constructor(adapters: ReadonlyMap<AdapterKind, ProviderAdapter>, clock: Clock) {
    this.#adapters = adapters;
    this.#clock = clock;
  }

  /** Adds or replaces. Requests in flight keep the target they began with. Throws for an adapter kind that is not built in. */
  put(target: Target): TargetEntry {
    const adapter = this.#adapters.get(target.adapterKind);
    if (adapter === undefined) throw new Error(`no adapter of kind "${target.adapterKind}" for target "${target.id}"`);
    const entry = new TargetEntry(target, adapter);
    this.#entries.set(target.id, entry);
    this.#changed(entry);
    return entry;
  }

  remove(id: TargetId): void {
    this.#entries.delete(id);
  }

  has(id: TargetId): boolean {
    return this.#entries.has(id);
  }

  get(id: TargetId): TargetEntry | undefined {
    return this.#entries.get(id);
  }

  /** In order of configuration. */
  entries(): IterableIterator<TargetEntry> {
    return this.#entries.values();
  }

  /** Told whenever a target comes, or its health changes: the probe loop and the queue listen. */
  onChange(listener: (entry: TargetEntry) => void): void {
    this.#onChange.add(listener);
  }

  used(entry: TargetEntry): void {
    entry.lastUsedSequence = ++this.#sequence;
    if (entry.breaker.name === 'half-open') this.#breaker(entry, 'trial-started');
  }

  /** It gave real content. */
  succeeded(entry: TargetEntry): void {
    entry.lastSuccessAtMs = this.#clock.nowMs();
    this.#breaker(entry, 'success');
  }

  /** A request for `model` failed there: what that says of its health is the failure table's word. */
  failed(entry: TargetEntry, model: string, error: UpstreamError): void {
    if (error.kind === 'cancelled') {
      this.#breaker(entry, 'neutral');
      return;
    }
    entry.stats.failed(error.kind, error.message, this.#clock.wallMs());
    entry.cooldown = nextCooldown(entry.cooldown, error, this.#clock.nowMs());
    this.#breaker(entry, HEALTH_EVENTS[FAILURE_RULES[error.kind].hurtsHealth]);
    if (error.kind === 'modelMissing') forgetModel(entry, model);
  }

  probed(entry: TargetEntry, snapshot: TargetSnapshot): void {
    entry.snapshot = snapshot;
    // What was never up has not failed anybody: it needs no trial.
    if (!entry.everUp) entry.breaker = CLOSED;
    entry.everUp = true;
    entry.probeFailure = null;
    entry.probedAtWallMs = this.#clock.wallMs();
    this.#breaker(entry, 'probe-ok');
    this.#changed(entry);
  }

  /** `certain`: nobody listens there; otherwise it only did not answer in time, which a busy server may do too. */
  probeFailed(entry: TargetEntry, message: string, certain: boolean): void {
    const first = entry.probedAtWallMs === null;
    const repeated = entry.probeFailure !== null;
    entry.probeFailure = { message };
    entry.probedAtWallMs = this.#clock.wallMs();
    if (certain || first || repeated) this.#breaker(entry, 'down');
    if (first) this.#changed(entry);
  }

  views(): TargetView[] {
    return [...this.#entries.values()].map((entry) => viewOf(entry));
  }

  #breaker(entry: TargetEntry, event: Parameters<typeof nextBreakerState>[1]): void {
    const before = entry.breaker;
    entry.breaker = nextBreakerState(before, event, this.#clock.nowMs());
    if (before.name !== entry.breaker.name) this.#changed(entry);
  }

  #changed(entry: TargetEntry): void {
    for (const listener of this.#onChange) listener(entry);
  }
}

const HEALTH_EVENTS = { down: 'down', counts: 'failure', no: 'neutral' } as const;

/** The server says it lacks the model that it listed: believe it until the next probe. */
function forgetModel(entry: TargetEntry, missing: string): void {
  if (entry.snapshot === null) return;
  const models = entry.snapshot.models.filter((model) => model.id !== missing);
  entry.snapshot = { ...entry.snapshot, models };
}

function viewOf(entry: TargetEntry): TargetView {
  const health = entry.health;
  const up = health === 'up' || health === 'warming';
  return {
    target: entry.target,
    health,
    healthReason: up
      ? null
      : (entry.probeFailure?.message ?? entry.stats.read().lastError?.message ?? 'not probed yet'),
    snapshot: entry.snapshot,
    inFlight: entry.inFlight,
    queued: entry.queued,
    slots: slotsOf(entry),
    stats: entry.stats.read(),
    probedAtWallMs: entry.probedAtWallMs,
  };
}

/** Requests at once over the whole target; null: no limit. */
export function slotsOf(entry: Pick<TargetEntry, 'target' | 'snapshot' | 'adapter'>): number | null {
  if (entry.target.maxConcurrent !== null) return entry.target.maxConcurrent;
  if (entry.target.place === 'cloud') return null;
  return entry.snapshot?.slots ?? entry.adapter.defaultSlots;
}
