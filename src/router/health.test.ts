import { expect, test } from 'bun:test';
import { adapterOf, snapshotOf, targetOf } from '../../test/support/fleet.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { Logger } from '../core/logger.ts';
import type { Target, TargetSnapshot } from '../core/target.ts';
import { HealthProber } from './health.ts';
import { TargetDirectory } from './targets.ts';

const ignore = (): void => undefined;
const SILENT: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

test('a server that was down at the start and takes its time over its list is found up all the same', async () => {
  const clock = new ManualClock();
  let starts = false;
  const probe = (_: Target, signal: AbortSignal): Promise<TargetSnapshot> => {
    if (!starts) return Promise.reject(new UpstreamError('unreachable', 'refused'));
    return new Promise((resolve, reject) => {
      const cancel = clock.after(1_500, () => resolve(snapshotOf({ models: ['m'] })));
      signal.addEventListener('abort', () => {
        cancel();
        reject(signal.reason);
      });
    });
  };
  const directory = new TargetDirectory(new Map([['lm-studio', adapterOf('lm-studio', { probe })]]), clock);
  const entry = directory.put(targetOf({ id: 'slow' }));
  const prober = new HealthProber(directory, clock, SILENT, { intervalMs: 5_000 });
  prober.start();
  await clock.advance(2_000);
  expect(entry.health).toBe('down');
  starts = true;
  for (let step = 0; step < 10 && entry.snapshot === null; step++) await clock.advance(1_000);
  expect(entry.snapshot?.models.map(({ id }) => id)).toEqual(['m']);
  prober.stop();
});

test('a server that was quick before it hung is asked every second, so that it is soon seen to be back', async () => {
  const clock = new ManualClock();
  let hangs = false;
  const startedAtMs: number[] = [];
  const probe = (_: Target, signal: AbortSignal): Promise<TargetSnapshot> => {
    startedAtMs.push(clock.nowMs());
    if (!hangs) return Promise.resolve(snapshotOf({ models: ['m'] }));
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const directory = new TargetDirectory(new Map([['lm-studio', adapterOf('lm-studio', { probe })]]), clock);
  const entry = directory.put(targetOf({ id: 'hung' }));
  const prober = new HealthProber(directory, clock, SILENT, { intervalMs: 5_000 });
  prober.start();
  await clock.advance(1_000);
  hangs = true;
  await clock.advance(20_000);
  expect(entry.health).toBe('down');
  startedAtMs.length = 0;
  await clock.advance(20_000);
  const pauses = startedAtMs.slice(1).map((at, index) => at - (startedAtMs[index] as number));
  expect(Math.max(...pauses)).toBeLessThanOrEqual(1_001);
  prober.stop();
});

test('whichever way the probes of a server end that never answered, not each of them takes its whole time', async () => {
  const clock = new ManualClock();
  const limitsMs: number[] = [];
  // As where nobody answers at that address: the connect clock comes before the probe's own.
  const probe = (_: Target, signal: AbortSignal): Promise<TargetSnapshot> => {
    const atMs = clock.nowMs();
    return new Promise((_resolve, reject) => {
      const cancel = clock.after(2_000, () => {
        limitsMs.push(2_000);
        reject(new UpstreamError('unreachable', 'no connection within 2000 ms'));
      });
      signal.addEventListener('abort', () => {
        cancel();
        limitsMs.push(clock.nowMs() - atMs);
        reject(signal.reason);
      });
    });
  };
  const directory = new TargetDirectory(new Map([['lm-studio', adapterOf('lm-studio', { probe })]]), clock);
  directory.put(targetOf({ id: 'nowhere' }));
  const prober = new HealthProber(directory, clock, SILENT, { intervalMs: 5_000 });
  prober.start();
  await clock.advance(30_000);
  const patient = limitsMs.filter((limitMs) => limitMs === 2_000).length;
  expect(patient / limitsMs.length).toBeLessThan(0.4);
  prober.stop();
});
