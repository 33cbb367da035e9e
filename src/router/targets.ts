import type { ProviderAdapter } from '../core/adapter.ts';
import type { Clock } from '../core/clock.ts';
import type { UpstreamError } from '../core/failure.ts';
import { FAILURE_RULES } from '../core/failure.ts';
import type { AdapterKind, Target, TargetId, TargetSnapshot } from '../core/target.ts';
import type { TargetView } from '../core/target-view.ts';
import { type BreakerEvent, CLOSED, nextBreakerState } from './breaker.ts';
import { nextCooldown } from './cooldown.ts';
import { TargetEntry, viewOf } from './target-entry.ts';

export { TargetEntry } from './target-entry.ts';

/** One upstream call, as far as the health of its target goes. */
export interface CallOnTarget {
  readonly entry: TargetEntry;
  readonly model: string;
  /** It was let through to see whether the target works again. */
  readonly isTrial: boolean;
}

/** The live directory: which targets exist, and their health. One per gateway. */
export class TargetDirectory {
  readonly #entries = new Map<TargetId, TargetEntry>();
  readonly #adapters: ReadonlyMap<AdapterKind, ProviderAdapter>;
  readonly #clock: Clock;
  readonly #listeners: ((entry: TargetEntry) => void)[] = [];
  #list: readonly TargetEntry[] = [];
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
    this.#list = [...this.#entries.values()];
    this.#changed(entry);
    return entry;
  }

  remove(id: TargetId): void {
    this.#entries.delete(id);
    this.#list = [...this.#entries.values()];
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
    return this.#list.map(viewOf);
  }

  /** Told whenever a target comes, is probed, or its health changes: the probe loop and the queue listen. */
  onChange(listener: (entry: TargetEntry) => void): void {
    this.#listeners.push(listener);
  }

  /** A call begins. While the target is half-open this takes the one place of the trial. */
  begin(entry: TargetEntry, model: string): CallOnTarget {
    entry.lastUsedSequence = ++this.#sequence;
    entry.stats.started();
    const isTrial = entry.breaker.name === 'half-open';
    if (isTrial) this.#breaker(entry, 'trial-started');
    return { entry, model, isTrial };
  }

  /** The first real content came. */
  answering({ entry, isTrial }: CallOnTarget): void {
    entry.lastSuccessAtMs = this.#clock.nowMs();
    if (isTrial) this.#breaker(entry, 'content');
  }

  /** The reply came to its proper end. */
  finished({ entry }: CallOnTarget, durationMs: number): void {
    entry.stats.served(durationMs);
    entry.lastSuccessAtMs = this.#clock.nowMs();
    if (entry.breaker !== CLOSED) this.#breaker(entry, 'success');
  }

  /** The call ended for a reason that says nothing of the target: the client left, our own clock ran out. */
  givenUp({ entry, isTrial }: CallOnTarget): void {
    if (isTrial) this.#breaker(entry, 'neutral');
  }

  /** The call failed: what that says of the target's health is the failure table's word. */
  failed({ entry, model, isTrial }: CallOnTarget, error: UpstreamError): void {
    entry.stats.failed(error.kind, error.message, this.#clock.wallMs());
    entry.cooldown = nextCooldown(entry.cooldown, error, this.#clock.nowMs());
    if (error.kind === 'modelMissing') forgetModel(entry, model);
    // Calls that had begun before it opened say nothing about the trial.
    if (entry.breaker.name === 'half-open' && !isTrial) return;
    this.#breaker(entry, HEALTH_EVENTS[FAILURE_RULES[error.kind].hurtsHealth]);
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
    if (certain || first || repeated) this.#breaker(entry, 'probe-failed');
    if (first) this.#changed(entry);
  }

  #breaker(entry: TargetEntry, event: BreakerEvent): void {
    const before = entry.breaker;
    entry.breaker = nextBreakerState(before, event, this.#clock.nowMs());
    if (before.name !== entry.breaker.name) this.#changed(entry);
  }

  #changed(entry: TargetEntry): void {
    for (const listener of this.#listeners) listener(entry);
  }
}

const HEALTH_EVENTS = { down: 'down', counts: 'failure', no: 'neutral' } as const;

/** The server says it lacks the model that it listed: believe it until the next probe. */
function forgetModel(entry: TargetEntry, missing: string): void {
  if (entry.snapshot === null) return;
  const models = entry.snapshot.models.filter((model) => model.id !== missing);
  entry.snapshot = { ...entry.snapshot, models };
}
