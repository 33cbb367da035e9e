import type { Clock } from '../core/clock.ts';

export interface OverloadLimits {
  /** Everything may come this late, ms, before requests are refused. */
  readonly maxLoopLagMs: number;
  /** Resident memory of the process, bytes, above which requests are refused. */
  readonly maxMemoryBytes: number;
}

/** What the guard reads of its process. */
export interface ProcessSigns {
  readonly memoryBytes: () => number;
  /** Client requests that have not ended. */
  readonly running: () => number;
  /** Asks the runtime to give memory back. */
  readonly collectGarbage: () => void;
}

export const OVERLOAD_KINDS = ['memory', 'loop_lag'] as const;
export type OverloadKind = (typeof OVERLOAD_KINDS)[number];

export interface Overload {
  readonly kind: OverloadKind;
  /** For the client and the log. */
  readonly message: string;
}

const CHECK_MS = 200;
/** A lag counts once it stands this many checks in a row: one long parse is no overload (as CoDel does for queues). */
const LAG_CHECKS = 3;
/** Collecting stops everything for a moment. */
const COLLECT_EVERY_MS = 5_000;

/**
 * Sheds load before the process collapses under it: while its event loop comes late all the time, or its memory is
 * above the limit, new inference requests are refused (faults F-45, F-46). Running ones go on.
 */
export class OverloadGuard {
  readonly refused: Record<OverloadKind, number> = { memory: 0, loop_lag: 0 };
  readonly #clock: Clock;
  readonly #limits: OverloadLimits;
  readonly #signs: ProcessSigns;
  readonly #lagsMs: number[] = [];
  #memoryBytes = 0;
  #collectedAtMs = Number.NEGATIVE_INFINITY;
  #cancelTimer: (() => void) | null = null;

  constructor(clock: Clock, limits: OverloadLimits, signs: ProcessSigns) {
    this.#clock = clock;
    this.#limits = limits;
    this.#signs = signs;
  }

  start(): void {
    const dueMs = this.#clock.nowMs() + CHECK_MS;
    this.#cancelTimer = this.#clock.after(CHECK_MS, () => {
      this.#check(Math.max(0, this.#clock.nowMs() - dueMs));
      this.start();
    });
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  /** Null: there is none. */
  get overload(): Overload | null {
    const lagMs = this.#lagsMs.length < LAG_CHECKS ? 0 : Math.min(...this.#lagsMs);
    if (lagMs > this.#limits.maxLoopLagMs) {
      return { kind: 'loop_lag', message: `the gateway is overloaded: everything comes ${Math.round(lagMs)} ms late` };
    }
    // With nothing running, refusing would not free any memory.
    if (this.#memoryBytes > this.#limits.maxMemoryBytes && this.#signs.running() > 1) {
      const [used, limit] = [this.#memoryBytes, this.#limits.maxMemoryBytes].map((bytes) =>
        Math.round(bytes / MEGABYTE),
      );
      return {
        kind: 'memory',
        message: `the gateway is overloaded: it uses ${used} MB of memory, its limit is ${limit}`,
      };
    }
    return null;
  }

  /** The same, counted as a refusal. */
  refuse(): Overload | null {
    const { overload } = this;
    if (overload !== null) this.refused[overload.kind]++;
    return overload;
  }

  #check(lagMs: number): void {
    this.#lagsMs.push(lagMs);
    if (this.#lagsMs.length > LAG_CHECKS) this.#lagsMs.shift();
    this.#memoryBytes = this.#signs.memoryBytes();
    const nowMs = this.#clock.nowMs();
    if (this.#memoryBytes > this.#limits.maxMemoryBytes && nowMs - this.#collectedAtMs >= COLLECT_EVERY_MS) {
      this.#collectedAtMs = nowMs;
      this.#signs.collectGarbage();
      this.#memoryBytes = this.#signs.memoryBytes();
    }
  }
}

const MEGABYTE = 1_048_576;
