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
