/** Pure state machine: may a target be asked? Fed by requests (passive signs) and by probes. */
export type BreakerState =
  /** In rotation. `failures` in a row so far. */
  | { readonly name: 'closed'; readonly failures: number }
  /** Out of rotation; a good probe at or after `trialAtMs` earns one trial request. */
  | { readonly name: 'open'; readonly trialAtMs: number; readonly failedTrials: number }
  /** A probe succeeded: one request may try it. */
  | { readonly name: 'half-open'; readonly trialRunning: boolean; readonly failedTrials: number };

export type BreakerEvent =
  /** A reply came to its proper end. */
  | 'success'
  /** The first real content came: a trial has shown that it answers, not yet that it finishes. */
  | 'content'
  /** A failure that surely means it is down (refused, no such host). */
  | 'down'
  /** A failure that means so when several follow each other. */
  | 'failure'
  /** Nothing learned: a rate limit, the client's own mistake, a client that left. */
  | 'neutral'
  | 'trial-started'
  | 'probe-ok'
  /** A probe failed: out of rotation, but no request was hurt, so nothing to atone for. */
  | 'probe-failed';

export interface BreakerOptions {
  /** Failures in a row that open it. Default 5 (faults.md, default timers). */
  readonly failuresToOpen: number;
  /** First wait after a failed trial; doubles with each further one. Default 5 s. */
  readonly ejectionMs: number;
  /** Longest wait. Default 5 min. */
  readonly maxEjectionMs: number;
}

export const BREAKER_DEFAULTS: BreakerOptions = { failuresToOpen: 5, ejectionMs: 5_000, maxEjectionMs: 300_000 };

export const CLOSED: BreakerState = { name: 'closed', failures: 0 };

export function nextBreakerState(
  state: BreakerState,
  event: BreakerEvent,
  nowMs: number,
  options: BreakerOptions = BREAKER_DEFAULTS,
): BreakerState {
  switch (event) {
    case 'success':
      return state.name === 'closed' && state.failures === 0 ? state : CLOSED;
    case 'down':
    case 'failure':
      return afterFailure(state, event, nowMs, options);
    case 'neutral':
    case 'content':
      // The place of the trial is free: the next request is one more trial.
      return state.name === 'half-open' ? { ...state, trialRunning: false } : state;
    case 'trial-started':
      return state.name === 'half-open' ? { ...state, trialRunning: true } : state;
    case 'probe-failed':
      if (state.name === 'open') return state;
      return { name: 'open', trialAtMs: nowMs, failedTrials: state.name === 'half-open' ? state.failedTrials : 0 };
    case 'probe-ok':
      return state.name === 'open' && nowMs >= state.trialAtMs
        ? { name: 'half-open', trialRunning: false, failedTrials: state.failedTrials }
        : state;
  }
}

function afterFailure(
  state: BreakerState,
  event: 'down' | 'failure',
  nowMs: number,
  options: BreakerOptions,
): BreakerState {
  switch (state.name) {
    case 'closed': {
      const failures = state.failures + 1;
      if (event === 'down' || failures >= options.failuresToOpen) {
        return { name: 'open', trialAtMs: nowMs, failedTrials: 0 };
      }
      return { name: 'closed', failures };
    }
    case 'half-open': {
      // Only a target that passes its probes and then fails real work is kept out for longer and longer.
      const failedTrials = state.failedTrials + 1;
      const ejectionMs = Math.min(options.maxEjectionMs, options.ejectionMs * 2 ** (failedTrials - 1));
      return { name: 'open', trialAtMs: nowMs + ejectionMs, failedTrials };
    }
    case 'open':
      // A request that had started before it opened says nothing new.
      return state;
  }
}
