import type { Clock } from '../core/clock.ts';
import { UpstreamError, withoutSecret } from '../core/failure.ts';
import type { Logger } from '../core/logger.ts';
import { asUpstreamError } from './attempt.ts';
import type { TargetDirectory, TargetEntry } from './targets.ts';

export interface HealthOptions {
  /** Pause between two probes of a target that is up, ms. Cloud targets: ten times as long, their lists are big and slow to change. */
  readonly intervalMs: number;
  /** Pause between two probes of a target that is down, ms. Default 1,000 or `intervalMs` if that is shorter. */
  readonly downIntervalMs?: number;
  /** A probe that takes longer has failed, ms. Default: the target's connect clock plus 2,000. */
  readonly timeoutMs?: number;
}

const CLOUD_FACTOR = 10;
/** Between two probes, however long the first one took, ms. */
const LEAST_PAUSE_MS = 50;
/** How long a probe of a target that is down may take. */
const DOWN_TIMEOUT_MS = 800;
/** Of the probes in a row of a target that never answered any, each third one gets the time of one that is up. */
const PATIENT_EVERY = 3;
/** So many times as long as the latest good one. */
const SLOWER = 4;
/** A target that gave bytes this recently is alive, whatever a slow probe says. */
const RECENT_SUCCESS_MS = 5_000;

/**
 * Asks each target again and again, one probe at a time each, jittered, whether it is up and what it has.
 * Probes never load a model and never spend a token (the adapters' promise).
 */
export class HealthProber {
  readonly #directory: TargetDirectory;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #options: HealthOptions;
  readonly #timers = new Map<TargetEntry, { readonly atMs: number; cancel(): void }>();
  readonly #running = new Map<TargetEntry, Promise<void>>();
  /** How long the latest good probe took. */
  readonly #probeMs = new WeakMap<TargetEntry, number>();
  /** Failed probes in a row of a target that never answered one. */
  readonly #unanswered = new WeakMap<TargetEntry, number>();
  readonly #stop = new AbortController();
  #firstRound: Promise<void> = Promise.resolve();
  #firstRoundDone = false;
  #started = false;

  constructor(directory: TargetDirectory, clock: Clock, logger: Logger, options: HealthOptions) {
    this.#directory = directory;
    this.#clock = clock;
    this.#logger = logger;
    this.#options = options;
  }

  /** Counts from each target's next probe on. */
  configure(options: HealthOptions): void {
    this.#options = options;
  }

  start(): void {
    this.#started = true;
    this.#directory.onChange((entry) => this.#reconsider(entry));
    this.#firstRound = this.#probeNewcomers()
      // Some may have turned out to be others than they were taken for.
      .then(() => this.#probeNewcomers())
      .then(() => {
        this.#firstRoundDone = true;
      });
  }

  async #probeNewcomers(): Promise<void> {
    const newcomers = this.#directory.entries().filter((entry) => entry.probedAtWallMs === null);
    await Promise.all(newcomers.map((entry) => this.probe(entry)));
  }

  stop(): void {
    this.#stop.abort(new UpstreamError('cancelled', 'the gateway stops'));
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  get running(): boolean {
    return this.#started && !this.#stop.signal.aborted;
  }

  /** True once every target of the start has been asked. */
  get firstRoundDone(): boolean {
    return this.#firstRoundDone;
  }

  /** Resolves when the first round has ended, at the latest after `atMostMs`. */
  async firstRound(atMostMs: number): Promise<void> {
    if (!this.#firstRoundDone) await this.#atMost(this.#firstRound, atMostMs);
  }

  async #atMost(work: Promise<void>, limitMs: number): Promise<void> {
    let cancel = (): void => undefined;
    const limit = new Promise<void>((resolve) => {
      cancel = this.#clock.after(limitMs, resolve);
    });
    await Promise.race([work, limit]);
    cancel();
  }

  /** Resolves when the target's models are known, or at the latest after its connect clock. */
  async firstProbe(entry: TargetEntry): Promise<void> {
    if (entry.probedAtWallMs === null) await this.#atMost(this.probe(entry), entry.target.clocks.connectMs);
  }

  /** Some targets have not been asked yet what they have. */
  get hasNewcomers(): boolean {
    return this.running && this.#directory.entries().some((entry) => entry.probedAtWallMs === null);
  }

  /** Resolves when those have been, or at the latest after their connect clocks. */
  async newcomers(): Promise<void> {
    await Promise.all(this.#directory.entries().map((entry) => this.firstProbe(entry)));
  }

  /** Probes now; callers who come while one runs share it. Never rejects. */
  probe(entry: TargetEntry): Promise<void> {
    const running = this.#running.get(entry);
    if (running !== undefined) return running;
    this.#timers.get(entry)?.cancel();
    this.#timers.delete(entry);
    const startedAtMs = this.#clock.nowMs();
    const probe = this.#probeOnce(entry).finally(() => {
      this.#running.delete(entry);
      if (entry.wantsProbe) this.#reconsider(entry);
      else this.#schedule(entry, this.#clock.nowMs() - startedAtMs);
    });
    this.#running.set(entry, probe);
    return probe;
  }

  async #probeOnce(entry: TargetEntry): Promise<void> {
    const timeout = new AbortController();
    const timeoutMs = this.#timeoutMs(entry);
    const startedAtMs = this.#clock.nowMs();
    const cancelTimer = this.#clock.after(timeoutMs, () =>
      timeout.abort(new UpstreamError('timeout', `the probe got no answer within ${timeoutMs / 1000} s`)),
    );
    const before = entry.health;
    const { target } = entry;
    entry.wantsProbe = false;
    try {
      const signal = AbortSignal.any([timeout.signal, this.#stop.signal]);
      const snapshot = await entry.adapter.probe(target, signal);
      this.#probeMs.set(entry, this.#clock.nowMs() - startedAtMs);
      this.#unanswered.delete(entry);
      this.#directory.probed(entry, snapshot, startedAtMs);
      this.#logger.debug({ target: entry.target.id, models: snapshot.models.length, slots: snapshot.slots }, 'probed');
    } catch (error) {
      // Taken away or replaced meanwhile: what it does is no news.
      if (this.#stop.signal.aborted || entry.retired) return;
      // Configured anew meanwhile: what failed may have been the old key.
      if (entry.target === target) this.#failed(entry, error);
    } finally {
      cancelTimer();
    }
    this.#tell(entry, before);
  }

  /**
   * One that is down is asked often, so that one that hung is soon seen to be back. A slow one gets the time it took
   * before; one that never answered, now and then all the time there is: nobody knows what it needs.
   */
  #timeoutMs(entry: TargetEntry): number {
    const usualMs = this.#options.timeoutMs ?? entry.target.clocks.connectMs + 2_000;
    const isPatient = (this.#unanswered.get(entry) ?? 0) % PATIENT_EVERY === PATIENT_EVERY - 1;
    if (entry.health !== 'down' || isPatient) return usualMs;
    return Math.min(usualMs, Math.max(DOWN_TIMEOUT_MS, SLOWER * (this.#probeMs.get(entry) ?? 0)));
  }

  #failed(entry: TargetEntry, error: unknown): void {
    const fault = withoutSecret(asUpstreamError(error), entry.target.apiKey);
    if (!this.#probeMs.has(entry)) this.#unanswered.set(entry, (this.#unanswered.get(entry) ?? 0) + 1);
    // A server that is busy with a long prompt may be slow to answer a probe while it serves requests well.
    if (this.#clock.nowMs() - entry.lastSuccessAtMs < RECENT_SUCCESS_MS && fault.kind !== 'unreachable') return;
    this.#directory.probeFailed(entry, fault);
  }

  #tell(entry: TargetEntry, before: string): void {
    const after = entry.health;
    if (before === after || after === 'absent') return;
    const fields = { target: entry.target.id, url: entry.target.baseUrl, before, after };
    if (after === 'down') this.#logger.warn({ ...fields, reason: entry.probeFailure?.message }, 'target is down');
    else this.#logger.info({ ...fields, models: entry.snapshot?.models.length ?? 0 }, `target is ${after}`);
  }

  /** A target that is new, is configured anew, or has just gone down is asked without waiting for its turn. */
  #reconsider(entry: TargetEntry): void {
    if (this.#stop.signal.aborted || this.#running.has(entry)) return;
    if (entry.retired) return;
    if (entry.probedAtWallMs === null || entry.wantsProbe) void this.probe(entry);
    else if (entry.breaker.name === 'open' || entry.breaker.name === 'warming') this.#schedule(entry);
  }

  /** Never later than it was due anyway. */
  #schedule(entry: TargetEntry, spentMs = 0): void {
    if (this.#stop.signal.aborted || entry.retired) return;
    const jitter = 0.8 + Math.random() * 0.2;
    // Counted from the beginning of the latest probe, so that a slow one does not make them rarer.
    const delayMs = Math.max(LEAST_PAUSE_MS, this.#pauseMs(entry) * jitter - spentMs);
    const atMs = this.#clock.nowMs() + delayMs;
    const due = this.#timers.get(entry);
    if (due !== undefined && due.atMs <= atMs) return;
    due?.cancel();
    this.#timers.set(entry, { atMs, cancel: this.#clock.after(delayMs, () => this.#again(entry)) });
  }

  /** A target that was taken away or replaced meanwhile is left alone, and so is its key. */
  #again(entry: TargetEntry): void {
    this.#timers.delete(entry);
    if (!entry.retired) void this.probe(entry);
  }

  #pauseMs(entry: TargetEntry): number {
    const { intervalMs } = this.#options;
    const health = entry.health;
    if (health === 'absent') return intervalMs;
    if (health === 'down' || health === 'warming' || entry.probeFailure !== null) {
      return this.#options.downIntervalMs ?? Math.min(1_000, intervalMs);
    }
    return entry.target.place === 'cloud' ? intervalMs * CLOUD_FACTOR : intervalMs;
  }
}
