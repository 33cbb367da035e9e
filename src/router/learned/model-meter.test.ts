import { describe, expect, test } from 'bun:test';
import { targetOf } from '../../../test/support/fleet.ts';
import { type Lesson, ModelMeter } from './model-meter.ts';
import { readSavedBook } from './saved-book.ts';
import { SpeedBook } from './speed-book.ts';

const LESSON: Lesson = {
  promptTokens: 1_000,
  cachedTokens: 0,
  completionTokens: 101,
  promptBytes: 4_000,
  hasMedia: false,
  wasCut: false,
  hitLimit: false,
  conversation: 1,
  atMs: 0,
  predictedCachedTokens: 0,
  readingSeconds: 1,
  writingSeconds: 2,
  beside: 1,
  loaded: true,
};

function taught(...lessons: readonly Partial<Lesson>[]): ModelMeter {
  const meter = new ModelMeter();
  for (const lesson of lessons) meter.learn({ ...LESSON, ...lesson });
  return meter;
}

describe('a meter learns', () => {
  test('the speed of reading from what was not cached', () => {
    const meter = taught(
      { promptTokens: 1_000, readingSeconds: 1.1 },
      { promptTokens: 4_000, promptBytes: 16_000, readingSeconds: 4.1 },
      { promptTokens: 8_000, promptBytes: 32_000, cachedTokens: 6_000, readingSeconds: 2.1 },
    );
    expect(1 / meter.reading.slope).toBeCloseTo(1_000, 3);
    expect(meter.reading.start).toBeCloseTo(0.1, 5);
  });

  test('the speed of writing by how many answers run beside', () => {
    const meter = taught({ beside: 1, writingSeconds: 2 }, { beside: 3.9, writingSeconds: 4 });
    expect(meter.writing.secondsPerToken(1)).toBeCloseTo(0.02);
    expect(meter.writing.secondsPerToken(4)).toBeCloseTo(0.04);
    // Between what was measured: from the nearer one.
    expect(meter.writing.secondsPerToken(5)).toBeGreaterThan(0.04);
  });

  test('how long a load takes, beside reading the prompt', () => {
    const meter = taught({}, {}, {}, { loaded: false, readingSeconds: 13 });
    expect(meter.loadSeconds).toBeCloseTo(12, 1);
  });

  test('the bytes of a token, but not from requests with images', () => {
    expect(taught({ promptBytes: 3_000 }).bytesPerToken).toBe(3);
    expect(taught({ promptBytes: 3_000, hasMedia: true }).bytesPerToken).toBeNull();
  });

  test('nothing from a server that counts like none can', () => {
    const lies = [1e15, 3_000_000, 1].map((promptTokens) => ({ promptTokens, completionTokens: 1e15 }));
    const meter = taught(...lies, ...lies);
    expect([meter.bytesPerToken, meter.isMeasured, meter.outputs.count]).toEqual([null, false, 0]);
  });

  test('nothing from an answer that came whole or without counts', () => {
    const meter = taught({ readingSeconds: null, writingSeconds: null }, { promptTokens: 0 });
    expect([meter.isMeasured, meter.writing.count]).toEqual([false, 1]);
  });
});

test('a cache that does not answer for itself is judged by the time of reading', () => {
  const meter = taught(
    ...[1_000, 4_000, 8_000].map((promptTokens) => ({
      promptTokens,
      promptBytes: promptTokens * 4,
      readingSeconds: promptTokens / 1_000,
    })),
  );
  meter.cache.resize(4);
  const silent = {
    ...LESSON,
    cachedTokens: null,
    promptTokens: 4_000,
    promptBytes: 16_000,
    predictedCachedTokens: 3_500,
  };
  const before = meter.cache.capacity;
  // Read as fast as if most of it had been there: so it was.
  meter.learn({ ...silent, readingSeconds: 0.55 });
  expect(meter.cache.capacity).toBe(before);
  for (let n = 0; n < 3; n++) meter.learn({ ...silent, readingSeconds: 4 });
  expect(meter.cache.capacity).toBeLessThan(before);
  // And the speed is not taken for what it would be if it had been.
  expect(1 / meter.reading.slope).toBeCloseTo(1_000, -2);
});

describe('a prompt that was cut', () => {
  test('teaches the context, and nothing of bytes or speeds', () => {
    const cut = { wasCut: true, promptBytes: 40_000, promptTokens: 4_000 };
    const meter = taught({}, {}, {}, cut, { ...cut, conversation: 2 });
    expect([meter.context.limitAt(0), meter.bytesPerToken, meter.samples]).toEqual([4_000, 4, 3]);
  });
});

test('an answer that the client had ended early says nothing of how long answers are', () => {
  const meter = taught({ completionTokens: 1, hitLimit: true }, { completionTokens: 500 });
  expect([meter.outputs.count, meter.samples]).toEqual([1, 2]);
});

test('odd texts shift the bytes of a token only until ordinary ones come again', () => {
  const meter = taught(...Array.from({ length: 20 }, () => ({ promptBytes: 1_500 })));
  expect(meter.bytesPerToken).toBeLessThan(2);
  for (let n = 0; n < 60; n++) meter.learn(LESSON);
  expect(meter.bytesPerToken).toBeCloseTo(4, 1);
});

describe('what was learned', () => {
  const target = targetOf({ id: 'desk' });

  test('outlives a restart', () => {
    const before = new SpeedBook();
    for (const promptTokens of [500, 2_000, 8_000]) {
      const lesson = { ...LESSON, promptTokens, promptBytes: promptTokens * 4, readingSeconds: promptTokens / 2_000 };
      before.open(target, 'm').learn(lesson);
    }
    const after = new SpeedBook();
    const saved = readSavedBook(JSON.parse(JSON.stringify(before.save())));
    after.restore(saved ?? { version: 1, meters: [] });
    const meter = after.find(target, 'm');
    expect(meter?.reading.at(4_000)).toBeCloseTo(2, 3);
    expect(meter?.writing.secondsPerToken(1)).toBeCloseTo(0.02);
    expect(meter?.isMeasured).toBe(true);
  });

  test('is not taken from a file that makes no sense', () => {
    for (const value of [null, 7, [], {}, { version: 2, meters: [] }, { version: 1, meters: 'x' }]) {
      expect(readSavedBook(value)).toBeNull();
    }
    const page = { key: 'k', place: 'local', model: 'm', samples: 1, reading: { start: 0, slope: 1e-3, lengths: [1] } };
    const meters = [page, { ...page, reading: { start: -1, slope: 1, lengths: [] } }, { ...page, place: 'moon' }, 5];
    expect(readSavedBook({ version: 1, meters })?.meters.length).toBe(1);
  });

  test('stands in as the median for a target that nothing was measured of', () => {
    const book = new SpeedBook();
    for (const [id, speed] of [
      ['a', 1_000],
      ['b', 2_000],
      ['c', 8_000],
    ] as const) {
      for (const promptTokens of [1_000, 3_000, 6_000]) {
        const lesson = { ...LESSON, promptTokens, promptBytes: 4 * promptTokens, readingSeconds: promptTokens / speed };
        book.open(targetOf({ id }), 'm').learn(lesson);
      }
    }
    book.changed();
    expect(1 / book.usual('local', 'm').readingSlope).toBeCloseTo(2_000, 0);
    expect(1 / book.usual('local', 'another').readingSlope).toBeCloseTo(2_000, 0);
  });

  test('of names that clients invent is bounded', () => {
    const book = new SpeedBook();
    for (let name = 0; name < 6_000; name++) book.open(target, `model-${name}`);
    expect(book.find(target, 'model-0')).toBeNull();
    expect(book.find(target, 'model-5999')).not.toBeNull();
  });
});
