import { expect, test } from 'bun:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { Batches } from './batches.ts';

test('a batch whose write fails is handed to who keeps it, and what comes after it is written', async () => {
  const clock = new ManualClock();
  const written: string[] = [];
  const kept: [readonly string[], unknown][] = [];
  const batches = new Batches<string>(
    clock,
    async (batch) => {
      if (batch.includes('bad')) throw new Error('the disk is gone');
      written.push(...batch);
    },
    (batch, error) => void kept.push([batch, error]),
  );
  batches.push('bad', 0);
  batches.push('with it', 0);
  await clock.advance(5);
  batches.push('after', 0);
  await clock.advance(5);
  expect(kept).toEqual([[['bad', 'with it'], new Error('the disk is gone')]]);
  expect(written).toEqual(['after']);
  batches.push('bad', 0);
  batches.push('more', 0);
  await batches.drain();
  expect(kept.length).toBe(2);
});
