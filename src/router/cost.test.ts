import { expect, test } from 'bun:test';
import { entryOf } from '../../test/support/fleet.ts';
import { LESSON } from '../../test/support/lesson.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { NO_PROMPT } from '../core/prompt.ts';
import { estimateCost, instanceOf } from './cost.ts';
import { SpeedBook } from './learned/speed-book.ts';

test('equal machines cost the same, however long the answers were that each happened to write', () => {
  const clock = new ManualClock();
  const book = new SpeedBook(clock);
  const entries = [20, 2_000].map((completionTokens, n) => {
    const entry = entryOf({ id: `n${n}`, models: ['m'] }, clock, book);
    for (let answer = 0; answer < 10; answer++) {
      const meter = entry.openMeter('m');
      meter.learn({ ...LESSON, completionTokens, writingSeconds: completionTokens / 50 });
      book.learned(entry.target, 'm', meter);
    }
    return entry;
  });
  const match = { model: 'm', loaded: true, info: null, how: 'named', words: '' } as const;
  const seconds = entries.map((entry) => {
    return estimateCost(instanceOf(entry, 'm'), match, NO_PROMPT, 0, { busy: 0, slots: 4 }).terms.decode;
  });
  expect((seconds[1] as number) / (seconds[0] as number)).toBeCloseTo(1, 1);
});
