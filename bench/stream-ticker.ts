import type { SocketWriter } from './socket-writer.ts';

export interface TickedStream {
  /** The client left. */
  drop(): void;
}

interface Entry {
  readonly writer: SocketWriter;
  readonly intervalMs: number;
  readonly end: Buffer;
  left: number;
  dropped: boolean;
}

export interface StreamShape {
  /** Content events still to write. */
  readonly tokens: number;
  /** Whole milliseconds, ≥ 1. */
  readonly intervalMs: number;
  readonly end: Buffer;
}

/**
 * Writes the events of thousands of streams with one timer. Each stream keeps the phase of its arrival: events of
 * different streams do not come in one burst, which would flatter whoever reads them.
 */
export class StreamTicker {
  readonly #event: Buffer;
  /** Streams by the millisecond at which they are due. */
  readonly #due = new Map<number, Entry[]>();
  #atMs = Math.floor(performance.now());
  #timer: ReturnType<typeof setInterval> | null = null;
  #open = 0;
  #tokens = 0;

  constructor(event: Buffer) {
    this.#event = event;
  }

  /** Streams that have neither ended nor been left. */
  get open(): number {
    return this.#open;
  }

  /** Content events written since the start. */
  get tokens(): number {
    return this.#tokens;
  }

  add(writer: SocketWriter, shape: StreamShape): TickedStream {
    const entry: Entry = { writer, intervalMs: shape.intervalMs, end: shape.end, left: shape.tokens, dropped: false };
    this.#open++;
    if (this.#timer === null) {
      this.#atMs = Math.floor(performance.now());
      this.#timer = setInterval(() => this.#run(), 1);
    }
    this.#schedule(entry, Math.floor(performance.now()) + entry.intervalMs);
    return {
      drop: () => {
        if (entry.dropped) return;
        entry.dropped = true;
        this.#open--;
      },
    };
  }

  #schedule(entry: Entry, atMs: number): void {
    // Never into a millisecond that has been worked off already.
    const dueMs = Math.max(atMs, this.#atMs + 1);
    const others = this.#due.get(dueMs);
    if (others === undefined) this.#due.set(dueMs, [entry]);
    else others.push(entry);
  }

  #run(): void {
    const nowMs = Math.floor(performance.now());
    while (this.#atMs < nowMs) {
      this.#atMs++;
      const entries = this.#due.get(this.#atMs);
      if (entries === undefined) continue;
      this.#due.delete(this.#atMs);
      for (const entry of entries) this.#tick(entry);
    }
    if (this.#due.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #tick(entry: Entry): void {
    if (entry.dropped) return;
    if (entry.left <= 0) {
      entry.writer.write(entry.end);
      entry.dropped = true;
      this.#open--;
      return;
    }
    entry.left--;
    this.#tokens++;
    entry.writer.write(this.#event);
    this.#schedule(entry, this.#atMs + entry.intervalMs);
  }
}
