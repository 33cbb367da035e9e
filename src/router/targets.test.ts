import { describe, expect, test } from 'bun:test';
import { entryOf } from '../../test/support/fleet.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { UpstreamError } from '../core/failure.ts';
import { TargetDirectory } from './targets.ts';

function directory() {
  const clock = new ManualClock();
  return { clock, targets: new TargetDirectory(new Map(), clock), entry: entryOf({ maxConcurrent: 8 }, clock) };
}

const fault = (kind: 'failed' | 'timeout' | 'unreachable') => new UpstreamError(kind, kind);

describe('what a call says of its target', () => {
  test('counts only for the time before it next went down: older ones neither eject it again nor heal it', () => {
    const { targets, entry } = directory();
    const older = Array.from({ length: 6 }, () => targets.begin(entry, 'm'));
    targets.failed(targets.begin(entry, 'm'), fault('unreachable'));
    expect(entry.breaker.name).toBe('open');
    targets.finished(older.pop() as never, 10);
    expect(entry.breaker.name).toBe('open');
    targets.probed(entry, entry.snapshot as never);
    const trial = targets.begin(entry, 'm');
    targets.answering(trial, 5);
    targets.finished(trial, 10);
    expect(entry.breaker).toEqual({ name: 'ramping', limit: 2, failedTrials: 0 });
    for (const call of older) targets.failed(call, fault('timeout'));
    expect(entry.breaker).toEqual({ name: 'ramping', limit: 2, failedTrials: 0 });
  });

  test('a client that leaves says nothing: not of its health, and not that it is silent', async () => {
    const { clock, targets, entry } = directory();
    for (let n = 0; n < 10; n++) targets.answering(targets.begin(entry, 'm'), 5);
    const left = targets.begin(entry, 'm');
    await clock.advance(60_000);
    expect(entry.silence.isUnusual(clock.nowMs())).toBe(true);
    targets.givenUp(left);
    expect([entry.silence.isUnusual(clock.nowMs()), entry.breaker.name]).toEqual([false, 'closed']);
  });

  test('a trial of before it went down again does not free the place of the present one', () => {
    const { targets, entry } = directory();
    const comesBack = () => {
      targets.probeFailed(entry, fault('unreachable'));
      targets.probed(entry, entry.snapshot as never);
      return targets.begin(entry, 'm');
    };
    const older = comesBack();
    const present = comesBack();
    targets.givenUp(older);
    expect(entry.breaker).toMatchObject({ name: 'half-open', trialRunning: true });
    targets.givenUp(present);
    expect(entry.breaker).toMatchObject({ name: 'half-open', trialRunning: false });
  });

  test('a failed probe on the ramp keeps the count of failed trials', () => {
    const { targets, entry } = directory();
    entry.breaker = { name: 'ramping', limit: 4, failedTrials: 3 };
    targets.probeFailed(entry, fault('unreachable'));
    expect(entry.breaker).toMatchObject({ name: 'open', failedTrials: 3 });
  });
});
