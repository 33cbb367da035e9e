import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import {
  BREAKER_DEFAULTS,
  type BreakerEvent,
  type BreakerState,
  CLOSED,
  concurrencyLimit,
  isOnTrial,
  nextBreakerState,
} from './breaker.ts';

const run = (events: readonly (readonly [BreakerEvent, number])[], from: BreakerState = CLOSED): BreakerState =>
  events.reduce((state, [event, atMs]) => nextBreakerState(state, event, atMs), from);

describe('L-28 the breaker', () => {
  test('opens at once when the target is surely down', () => {
    expect(run([['down', 0]]).name).toBe('open');
  });

  test('opens after five failures in a row, and a success in between starts the count anew', () => {
    const four = Array.from({ length: 4 }, () => ['failure', 0] as const);
    expect(run([...four]).name).toBe('closed');
    expect(run([...four, ['success', 0], ...four]).name).toBe('closed');
    expect(run([...four, ['failure', 0]]).name).toBe('open');
  });

  test('a rate limit or a client that left neither opens nor heals it', () => {
    const four = Array.from({ length: 4 }, () => ['failure', 0] as const);
    expect(run([...four, ['neutral', 0], ['failure', 0]]).name).toBe('open');
  });

  test('a good probe earns one trial; its success starts a ramp, its failure keeps the target out for longer each time', () => {
    const trial = run([
      ['down', 0],
      ['probe-ok', 1],
    ]);
    expect(trial).toEqual({ name: 'half-open', trialRunning: false, failedTrials: 0 });
    expect(
      run(
        [
          ['trial-started', 2],
          ['success', 3],
        ],
        trial,
      ),
    ).toEqual({ name: 'ramping', limit: 2, failedTrials: 0 });
    const failedOnce = run(
      [
        ['trial-started', 2],
        ['failure', 10],
      ],
      trial,
    );
    expect(failedOnce).toEqual({ name: 'open', trialAtMs: 10 + BREAKER_DEFAULTS.ejectionMs, failedTrials: 1 });
    expect(run([['probe-ok', 11]], failedOnce).name).toBe('open');
    const again = run(
      [
        ['probe-ok', 5_010],
        ['trial-started', 5_011],
        ['down', 5_012],
      ],
      failedOnce,
    );
    expect(again).toEqual({ name: 'open', trialAtMs: 5_012 + 2 * BREAKER_DEFAULTS.ejectionMs, failedTrials: 2 });
  });

  test('a trial whose client left frees the trial place', () => {
    const running = run([
      ['down', 0],
      ['probe-ok', 1],
      ['trial-started', 2],
    ]);
    expect(run([['neutral', 3]], running)).toEqual({ name: 'half-open', trialRunning: false, failedTrials: 0 });
  });

  test('the first token of a trial lets the next trial in, only a finished reply ends it', () => {
    const running = run([
      ['down', 0],
      ['probe-ok', 1],
      ['trial-started', 2],
      ['content', 3],
    ]);
    expect(running).toEqual({ name: 'half-open', trialRunning: false, failedTrials: 0 });
    expect(run([['failure', 4]], running)).toMatchObject({ name: 'open', failedTrials: 1 });
    expect(run([['success', 4]], running).name).toBe('ramping');
  });

  test('a ramp doubles with each finished reply, grows by one with each that begins, and then is over', () => {
    const ramp: BreakerState = { name: 'ramping', limit: 2, failedTrials: 1 };
    expect(concurrencyLimit(run([['success', 0]], ramp))).toBe(4);
    expect(concurrencyLimit(run([['content', 0]], ramp))).toBe(3);
    const successes = Array.from({ length: 5 }, () => ['success', 0] as const);
    expect(run(successes, ramp)).toEqual(CLOSED);
    expect(concurrencyLimit(CLOSED)).toBe(Number.POSITIVE_INFINITY);
  });

  test('a failure on the ramp counts as a failed trial; a server that was switched off need not atone', () => {
    const ramp: BreakerState = { name: 'ramping', limit: 8, failedTrials: 1 };
    expect(run([['failure', 7]], ramp)).toEqual({ name: 'open', trialAtMs: 7 + 10_000, failedTrials: 2 });
    expect(run([['down', 7]], ramp)).toEqual({ name: 'open', trialAtMs: 7, failedTrials: 1 });
  });

  test('a target that loads is asked by one request after each good probe, and is in rotation once it answers', () => {
    let state = run([['loading', 5]]);
    expect([state, isOnTrial(state)]).toEqual([{ name: 'warming', trialEarned: false, trialRunning: false }, true]);
    state = run([['probe-ok', 1_000]], state);
    expect(isOnTrial(state)).toBe(false);
    state = run([['trial-started', 1_001]], state);
    expect(isOnTrial(state)).toBe(true);
    expect(run([['loading', 1_002]], state)).toMatchObject({ name: 'warming', trialEarned: false });
    expect(isOnTrial(run([['neutral', 1_002]], state))).toBe(false);
    expect(run([['content', 1_002]], state)).toEqual(CLOSED);
    expect(run([['failure', 1_002]], state).name).toBe('open');
  });

  test('a probe that fails costs no ejection, however often the machine sleeps', () => {
    let state: BreakerState = CLOSED;
    for (let nowMs = 0; nowMs < 100_000; nowMs += 1_000) {
      state = run([['probe-failed', nowMs]], state);
      expect(state).toEqual({ name: 'open', trialAtMs: nowMs, failedTrials: 0 });
      state = run([['probe-ok', nowMs + 500]], state);
      expect(state.name).toBe('half-open');
    }
  });

  test('never waits longer than the longest ejection, and heals from any state by a probe and a success', () => {
    const event = fc.constantFrom<BreakerEvent>(
      'success',
      'content',
      'down',
      'failure',
      'loading',
      'neutral',
      'trial-started',
      'probe-ok',
      'probe-failed',
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(event, fc.nat(1_000)), { maxLength: 200 }), (steps) => {
        let nowMs = 0;
        let state: BreakerState = CLOSED;
        for (const [name, pauseMs] of steps) {
          nowMs += pauseMs;
          state = nextBreakerState(state, name, nowMs);
          if (state.name === 'open')
            expect(state.trialAtMs - nowMs).toBeLessThanOrEqual(BREAKER_DEFAULTS.maxEjectionMs);
        }
        nowMs += BREAKER_DEFAULTS.maxEjectionMs;
        state = nextBreakerState(state, 'probe-ok', nowMs);
        expect(state.name).not.toBe('open');
        for (let n = 0; n < 7; n++) state = nextBreakerState(state, 'success', nowMs);
        expect(state).toEqual(CLOSED);
      }),
    );
  });
});
