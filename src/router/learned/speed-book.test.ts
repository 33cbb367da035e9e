import { describe, expect, test } from 'bun:test';
import { targetOf } from '../../../test/support/fleet.ts';
import { LESSON } from '../../../test/support/lesson.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { Target } from '../../core/target.ts';
import type { ModelMeter } from './model-meter.ts';
import { SpeedBook } from './speed-book.ts';

const desk = targetOf({ id: 'desk' });
const cloud = targetOf({ id: 'cloud', kind: 'openrouter' });

/** One answer of a model that reads so many tokens a second. */
function answer(book: SpeedBook, target: Target, model: string, speed = 1_000, promptTokens = 1_000): ModelMeter {
  const meter = book.open(target, model);
  meter.learn({ ...LESSON, promptTokens, promptBytes: 4 * promptTokens, readingSeconds: promptTokens / speed });
  book.learned(target, model, meter);
  return meter;
}

describe('the book of speeds', () => {
  test('gives as usual the median of those that were measured', () => {
    const book = new SpeedBook();
    for (const [id, speed] of Object.entries({ a: 1_000, b: 2_000, c: 8_000 })) {
      for (const promptTokens of [1_000, 3_000, 6_000]) answer(book, targetOf({ id }), 'm', speed, promptTokens);
    }
    expect(1 / book.usual('local', 'm').readingSlope).toBeCloseTo(2_000, 0);
    expect(1 / book.usual('local', 'another').readingSlope).toBeCloseTo(2_000, 0);
    expect(1 / book.usual('cloud', 'm').readingSlope).toBeCloseTo(20_000, 0);
  });

  test('takes the medians anew once a second, however much is learned', async () => {
    const clock = new ManualClock();
    const book = new SpeedBook(clock);
    answer(book, desk, 'm', 1_000);
    const first = book.usual('local', 'm');
    answer(book, desk, 'm', 500);
    await clock.advance(999);
    expect(book.usual('local', 'm')).toBe(first);
    await clock.advance(1);
    const second = book.usual('local', 'm');
    expect(second).not.toBe(first);
    await clock.advance(5_000);
    // Nothing was learned since.
    expect(book.usual('local', 'm')).toBe(second);
  });

  test('lists what was learned of one target', () => {
    const book = new SpeedBook();
    answer(book, desk, 'm');
    answer(book, cloud, 'n');
    book.open(desk, 'only asked for');
    expect(book.of(desk).map(([model]) => model)).toEqual(['m']);
    // Another address is another server.
    expect(book.of({ ...desk, baseUrl: 'http://127.0.0.1:2/v1' })).toEqual([]);
  });

  test('forgets the cached prompts of models that nothing was learned of, too', () => {
    const book = new SpeedBook();
    const meters = [answer(book, desk, 'm'), book.open(desk, 'n')];
    for (const { cache } of meters) {
      cache.add(
        { bytes: 10, images: 0, maxOutputTokens: null, conversation: 1, blocks: new Uint32Array() } as never,
        0,
      );
    }
    book.clearCaches(desk);
    expect(meters.map(({ cache }) => cache.size)).toEqual([0, 0]);
  });
});

describe('names that clients invent', () => {
  test('push out nothing that was learned while nothing is learned of them', () => {
    const book = new SpeedBook();
    const meter = answer(book, desk, 'm');
    for (let name = 0; name < 6_000; name++) book.open(desk, `name-${name}`);
    expect(book.find(desk, 'm')).toBe(meter);
    expect(book.find(desk, 'name-0')).toBeNull();
    expect(book.find(desk, 'name-5999')).not.toBeNull();
  });

  test('push out only what was learned of the target that answers to them all', () => {
    const book = new SpeedBook();
    const meter = answer(book, desk, 'm');
    for (let name = 0; name < 5_500; name++) answer(book, cloud, `name-${name}`);
    expect(book.find(desk, 'm')).toBe(meter);
    expect(book.of(cloud)).toHaveLength(4_999);
    expect(book.find(cloud, 'name-500')).toBeNull();
  });

  test('leave models in the book that are used between them', () => {
    const book = new SpeedBook();
    const meter = answer(book, cloud, 'm');
    for (let name = 0; name < 6_000; name++) {
      if (name % 1_000 === 0) book.open(cloud, 'm');
      answer(book, cloud, `name-${name}`);
    }
    expect(book.find(cloud, 'm')).toBe(meter);
  });

  test('are forgotten when the server says that it has no such model', () => {
    const book = new SpeedBook();
    book.open(desk, 'invented');
    book.missing(desk, 'invented');
    expect(book.find(desk, 'invented')).toBeNull();
    // What was learned is kept: the model may come back.
    answer(book, desk, 'm');
    book.missing(desk, 'm');
    expect(book.find(desk, 'm')).not.toBeNull();
  });

  test('cost no lesson of a call that ran meanwhile', () => {
    const book = new SpeedBook();
    const meter = book.open(desk, 'm');
    for (let name = 0; name < 100; name++) book.open(desk, `name-${name}`);
    expect(book.find(desk, 'm')).toBeNull();
    book.open(desk, 'm');
    meter.learn(LESSON);
    book.learned(desk, 'm', meter);
    expect(book.find(desk, 'm')).toBe(meter);
    // What is learned from now on is learned there.
    expect(book.open(desk, 'm')).toBe(meter);
  });

  test('stand in for nothing once they are forgotten', () => {
    const book = new SpeedBook();
    const meter = book.open(cloud, 'odd');
    meter.learn({ ...LESSON, promptBytes: 2_000 });
    book.learned(cloud, 'odd', meter);
    expect(book.usual('cloud', 'odd').bytesPerToken).toBe(2);
    for (let name = 0; name < 5_000; name++) answer(book, cloud, `name-${name}`);
    expect(book.find(cloud, 'odd')).toBeNull();
    expect(book.usual('cloud', 'odd').bytesPerToken).toBe(4);
  });
});
