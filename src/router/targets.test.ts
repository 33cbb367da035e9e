import { describe, expect, test } from 'bun:test';
import { entryOf } from '../../test/support/fleet.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { UpstreamError } from '../core/failure.ts';
import { NO_PROMPT } from '../core/prompt.ts';
import { SpeedBook } from './learned/speed-book.ts';
import { slotUseByName } from './target-entry.ts';
import { TargetDirectory } from './targets.ts';

function directory() {
  const clock = new ManualClock();
  return { clock, targets: new TargetDirectory(new Map(), clock), entry: entryOf({ maxConcurrent: 8 }, clock) };
}

const fault = (kind: 'failed' | 'timeout' | 'unreachable' | 'modelMissing') => new UpstreamError(kind, kind);

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

describe('what calls teach', () => {
  const usage = {
    promptTokens: 100,
    completionTokens: 20,
    cachedTokens: null,
    reasoningTokens: 0,
    costNanoUsd: null,
  };
  const prompt = { ...NO_PROMPT, bytes: 400 };

  function parts() {
    const clock = new ManualClock();
    const book = new SpeedBook(clock);
    const targets = new TargetDirectory(new Map(), clock, undefined, book);
    const entry = entryOf({ id: 'cloud', kind: 'openrouter' }, clock, book);
    const answer = (model: string): void => {
      const call = targets.begin(entry, model, prompt);
      targets.answering(call, 5);
      targets.finished(call, 10, usage);
    };
    return { targets, entry, book, answer };
  }

  test('is not lost on a page that the book no longer has', () => {
    const { entry, book, answer } = parts();
    answer('m');
    for (let name = 0; name < 5_000; name++) answer(`name-${name}`);
    expect(entry.meter('m').samples).toBe(0);
    answer('m');
    expect([entry.meter('m').samples, book.find(entry.target, 'm')?.samples]).toEqual([1, 1]);
  });

  test('is kept of no name that the server does not have, and of no call that failed', () => {
    const { targets, entry, book } = parts();
    targets.failed(targets.begin(entry, 'invented', prompt), fault('modelMissing'));
    targets.failed(targets.begin(entry, 'm', prompt), fault('failed'));
    expect(book.find(entry.target, 'invented')).toBeNull();
    expect(book.of(entry.target)).toEqual([]);
    expect(book.version).toBe(0);
  });
});

test('a server that others keep busy is asked as long as nobody waits inside it, however few slots it is taken to have', () => {
  const { targets } = directory();
  const busyWith = (load: { running: number; waiting: number }) => {
    const entry = entryOf({ kind: 'vllm', models: ['m'], load: { ...load, cacheUsage: null } });
    for (let probe = 0; probe < 2; probe++) targets.probed(entry, entry.snapshot as never);
    return slotUseByName(entry, 'm');
  };
  expect(busyWith({ running: 6, waiting: 0 })).toEqual({ busy: 6, slots: 7 });
  expect(busyWith({ running: 6, waiting: 3 })).toEqual({ busy: 9, slots: 6 });
  expect(busyWith({ running: 1, waiting: 0 })).toEqual({ busy: 1, slots: 4 });
});
