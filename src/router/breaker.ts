/** Pure state machine: may a target be asked? Fed by requests (passive signs) and by probes. */
export type BreakerState =
  /** In rotation. `failures` in a row so far. */
  | { readonly name: 'closed'; readonly failures: number }
  /** Out of rotation; a good probe at or after `trialAtMs` earns one trial request. */
  | { readonly name: 'open'; readonly trialAtMs: number; readonly failedTrials: number }
  /** A probe succeeded: one request may try it. */
  | { readonly name: 'half-open'; readonly trialRunning: boolean; readonly failedTrials: number }
  /** The trial succeeded: so many requests at once, twice as many after each success, so that a herd does not fell it again. */
  | { readonly name: 'ramping'; readonly limit: number; readonly failedTrials: number }
  /** It says that it is loading: healthy, but only one request after each good probe asks whether it is done. */
  | { readonly name: 'warming'; readonly trialEarned: boolean; readonly trialRunning: boolean };

export type BreakerEvent =
  /** A reply came to its proper end. */
  | 'success'
  /** The first real content came: a trial has shown that it answers, not yet that it finishes. */
  | 'content'
  /** A failure that surely means it is down (refused, no such host). */
  | 'down'
  /** A failure that means so when several follow each other. */
  | 'failure'
  /** It answered that it is loading the model. */
  | 'loading'
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
  /** Requests at once after a good trial; doubles with each success. Default 2. */
  readonly rampFrom: number;
  /** A ramp that would allow more than this is over. Default 32. */
  readonly rampTo: number;
}

export const BREAKER_DEFAULTS: BreakerOptions = {
  failuresToOpen: 5,
  ejectionMs: 5_000,
  maxEjectionMs: 300_000,
  rampFrom: 2,
  rampTo: 32,
};

export const CLOSED: BreakerState = { name: 'closed', failures: 0 };
const LOADING: BreakerState = { name: 'warming', trialEarned: false, trialRunning: false };

export function nextBreakerState(
  state: BreakerState,
  event: BreakerEvent,
  nowMs: number,
  options: BreakerOptions = BREAKER_DEFAULTS,
): BreakerState {
  switch (event) {
    case 'success':
      return afterSuccess(state, options);
    case 'down':
    case 'failure':
      return afterFailure(state, event, nowMs, options);
    case 'loading':
      return LOADING;
    case 'content':
      return afterContent(state);
    case 'neutral':
      return withoutTrial(state);
    case 'trial-started':
      return withTrial(state);
    case 'probe-failed':
      if (state.name === 'open') return state;
      return { name: 'open', trialAtMs: nowMs, failedTrials: 'failedTrials' in state ? state.failedTrials : 0 };
    case 'probe-ok':
      return afterGoodProbe(state, nowMs);
  }
}

/** May only one request at a time find out how it is, and is one at it (or not earned yet)? */
export function isOnTrial(state: BreakerState): boolean {
  if (state.name === 'half-open') return state.trialRunning;
  return state.name === 'warming' && (state.trialRunning || !state.trialEarned);
}

/** How many requests at once it allows. */
export function concurrencyLimit(state: BreakerState): number {
  return state.name === 'ramping' ? state.limit : Number.POSITIVE_INFINITY;
}

function afterContent(state: BreakerState): BreakerState {
  // Loading is over as soon as something comes; a trial has to reach its end.
  if (state.name === 'warming') return CLOSED;
  // Long streams must not hold up a ramp: each one that answers makes room for one more.
  return state.name === 'ramping' ? { ...state, limit: state.limit + 1 } : withoutTrial(state);
}

function afterSuccess(state: BreakerState, options: BreakerOptions): BreakerState {
  switch (state.name) {
    case 'half-open':
      return { name: 'ramping', limit: options.rampFrom, failedTrials: state.failedTrials };
    case 'ramping':
      return state.limit * 2 > options.rampTo ? CLOSED : { ...state, limit: state.limit * 2 };
    case 'closed':
      return state.failures === 0 ? state : CLOSED;
    case 'open':
    case 'warming':
      return CLOSED;
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
    case 'warming':
      return { name: 'open', trialAtMs: nowMs, failedTrials: 0 };
    case 'ramping':
      // A server that was switched off says so to its probes: it need not atone for that once it is back.
      if (event === 'down') return { name: 'open', trialAtMs: nowMs, failedTrials: state.failedTrials };
      return ejected(state.failedTrials + 1, nowMs, options);
    case 'half-open':
      // Only a target that passes its probes and then fails real work is kept out for longer and longer.
      return ejected(state.failedTrials + 1, nowMs, options);
    case 'open':
      // A request that had started before it opened says nothing new.
      return state;
  }
}

function ejected(failedTrials: number, nowMs: number, options: BreakerOptions): BreakerState {
  const ejectionMs = Math.min(options.maxEjectionMs, options.ejectionMs * 2 ** (failedTrials - 1));
  return { name: 'open', trialAtMs: nowMs + ejectionMs, failedTrials };
}

function afterGoodProbe(state: BreakerState, nowMs: number): BreakerState {
  if (state.name === 'warming') return { ...state, trialEarned: true };
  return state.name === 'open' && nowMs >= state.trialAtMs
    ? { name: 'half-open', trialRunning: false, failedTrials: state.failedTrials }
    : state;
}

function withTrial(state: BreakerState): BreakerState {
  if (state.name === 'half-open') return { ...state, trialRunning: true };
  return state.name === 'warming' ? { ...state, trialEarned: false, trialRunning: true } : state;
}

/** The place of the trial is free: the next request is one more trial. */
function withoutTrial(state: BreakerState): BreakerState {
  if (state.name === 'half-open') return { ...state, trialRunning: false };
  return state.name === 'warming' ? { ...state, trialEarned: true, trialRunning: false } : state;
}
