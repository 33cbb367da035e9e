/** Monotonic time, injected everywhere so that tests own it. Wall-clock time is only for log lines. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  nowMs(): number;
  /** Calls `run` once after `delayMs`; returns a function that cancels it. */
  after(delayMs: number, run: () => void): () => void;
  /** Milliseconds since the Unix epoch, for showing to people and for `created` fields. */
  wallMs(): number;
}
