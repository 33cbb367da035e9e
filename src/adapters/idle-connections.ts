/** fetch keeps this many idle connections, over all origins (measured, Bun 1.4.5). */
const POOL_SIZE = 64;
/** Without a word of the server's: Bun itself closes an idle connection after this long. */
const DEFAULT_LIFE_MS = 300_000;

/** What was known of an origin's connections when a call was sent. */
export interface SentMark {
  readonly mayBeReused: boolean;
  /** `given` of the origin then. */
  readonly given: number;
}

interface Origin {
  /** Until when each connection that may be idle can still be open (monotonic ms). */
  readonly untilMs: number[];
  /** Connections that became idle so far. */
  given: number;
}

/**
 * How many idle connections fetch may hold to each origin: never too few. fetch does not tell whether a call went out
 * on a used connection or on a fresh one, but where none can have been idle it was a fresh one, and a reset on that
 * is no keep-alive race (ADR 0009). Only counts; pure but for its state.
 */
export class IdleConnections {
  readonly #origins = new Map<string, Origin>();

  /** A call is sent: it takes an idle connection if there is one. */
  send(origin: string, nowMs: number): SentMark {
    const known = this.#origins.get(origin);
    if (known === undefined) return { mayBeReused: false, given: 0 };
    const { untilMs } = known;
    dropOlder(untilMs, nowMs);
    // Nobody knows which one is taken: what is left is at most what would close last.
    return { mayBeReused: untilMs.shift() !== undefined, given: known.given };
  }

  /** Can the call of this mark have met a used connection? Ask when it has failed: others may have become idle since. */
  mayHaveReused(origin: string, mark: SentMark): boolean {
    return mark.mayBeReused || (this.#origins.get(origin)?.given ?? 0) > mark.given;
  }

  /** A reply came to its end and its connection may be kept. `keepAlive`: the reply's `keep-alive` header; null: none. */
  give(origin: string, nowMs: number, keepAlive: string | null): void {
    const known = this.#origins.get(origin) ?? { untilMs: [], given: 0 };
    this.#origins.set(origin, known);
    known.given++;
    known.untilMs.push(nowMs + lifeMs(keepAlive));
    if (known.untilMs.length > POOL_SIZE) known.untilMs.shift();
  }

  /** A new connection could not be made. fetch tries that only when it holds no idle one. */
  forget(origin: string): void {
    const known = this.#origins.get(origin);
    if (known !== undefined) known.untilMs.length = 0;
  }
}

/** Oldest first; a server that changes its mind about the time makes that untrue for a moment, which errs on the side of too many. */
function dropOlder(untilMs: number[], nowMs: number): void {
  while (untilMs[0] !== undefined && untilMs[0] < nowMs) untilMs.shift();
}

/** A server that says for how long it keeps an idle connection is believed, with a second for the way. */
function lifeMs(keepAlive: string | null): number {
  const seconds = keepAlive === null ? null : /(?:^|[,;\s])timeout=(\d{1,6})/i.exec(keepAlive)?.[1];
  return seconds === null || seconds === undefined
    ? DEFAULT_LIFE_MS
    : Math.min(DEFAULT_LIFE_MS, Number(seconds) * 1_000 + 1_000);
}
