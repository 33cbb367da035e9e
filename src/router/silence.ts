import { RunningMean } from './running-mean.ts';

/** However fast a target usually is, a silence shorter than this means nothing. */
const LEAST_SILENCE_MS = 20;
/** So many times as long as it usually takes. */
const UNUSUAL = 4;

/**
 * Does a target leave its requests unanswered for unusually long? No proof that it is dead (it may read a long
 * prompt), but reason enough to prefer its equals until it gives a sign of life (faults: one of several nodes hangs).
 */
export class Silence {
  /** Since when no call or probe has been answered though one was waiting; null: none was. */
  #sinceMs: number | null = null;
  /** Calls that have not been answered yet. */
  #pending = 0;
  readonly #usual = new RunningMean();

  began(nowMs: number): void {
    this.#pending++;
    this.#sinceMs ??= nowMs;
  }

  /** A call got an answer of whatever kind. `firstContentMs`: how long it took to its first content; null: none came. */
  answered(firstContentMs: number | null): void {
    this.#ended();
    this.#sinceMs = null;
    if (firstContentMs !== null) this.#usual.record(firstContentMs);
  }

  /** A call's clock ran out, or nobody was there: the silence goes on, also when nobody waits any more. */
  unanswered(): void {
    this.#ended();
  }

  /** The client left: when it was the last one that waited, nothing is known. */
  givenUp(): void {
    this.#ended();
    if (this.#pending === 0) this.#sinceMs = null;
  }

  /** It answered a probe. */
  probed(): void {
    this.#sinceMs = null;
  }

  isUnusual(nowMs: number): boolean {
    if (this.#sinceMs === null) return false;
    const { meanMs } = this.#usual;
    return meanMs !== null && nowMs - this.#sinceMs > Math.max(LEAST_SILENCE_MS, UNUSUAL * meanMs);
  }

  /** A stream that breaks after its first content has been counted out already. */
  #ended(): void {
    this.#pending = Math.max(0, this.#pending - 1);
  }
}
