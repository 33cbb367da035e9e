import { SpeedBook } from '../../src/router/learned/speed-book.ts';
import { targetOf } from '../../test/support/fleet.ts';
import { LESSON } from '../../test/support/lesson.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { keep, type MicroResult, timePerRunNs } from './harness.ts';

/** As many as the book holds. */
const PAGES = 5_000;
const PROVIDER = targetOf({ id: 'cloud', kind: 'openrouter' });

function fullBook(clock: ManualClock | null): SpeedBook {
  const book = new SpeedBook(clock);
  for (let page = 0; page < PAGES; page++) {
    for (const promptTokens of [500, 2_000, 6_000]) answer(book, page, promptTokens);
  }
  return book;
}

function answer(book: SpeedBook, page: number, promptTokens: number): void {
  const model = `vendor/model-${page}`;
  const meter = book.open(PROVIDER, model);
  meter.learn({
    ...LESSON,
    promptTokens,
    promptBytes: promptTokens * 4,
    completionTokens: 100 + (page % 97),
    readingSeconds: promptTokens / (1_000 + page),
  });
  book.learned(PROVIDER, model, meter);
}

/** What is usual, in a book that is full. */
export function speedBookBenchmarks(): MicroResult[] {
  const [kept, fresh] = [fullBook(new ManualClock()), fullBook(null)];
  const meter = kept.open(PROVIDER, 'vendor/model-0');
  return [
    {
      name: `what is usual, ${PAGES} models measured, after an answer`,
      rounds: timePerRunNs(() => {
        kept.learned(PROVIDER, 'vendor/model-0', meter);
        keep(kept.usual('cloud', 'unknown'));
      }),
    },
    {
      name: `the same when the medians are taken anew (once a second)`,
      rounds: timePerRunNs(() => {
        fresh.learned(PROVIDER, 'vendor/model-0', meter);
        keep(fresh.usual('cloud', 'unknown'));
      }),
    },
    { name: `what was learned of one target, ${PAGES} models`, rounds: timePerRunNs(() => keep(kept.of(PROVIDER))) },
  ];
}
