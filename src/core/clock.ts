/** Monotonic time, injected everywhere so that tests own it. Wall-clock time is only for log lines and for dates that people set. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  nowMs(): number;
  /** Calls `run` once after `delayMs`; returns a function that cancels it. */
  after(delayMs: number, run: () => void): () => void;
  /** Milliseconds since the Unix epoch, for showing to people, for `created` fields and for when a key expires. */
  wallMs(): number;
}
