import { describe, expect, test } from 'bun:test';
import { LESSON } from '../../../test/support/lesson.ts';
import { type Lesson, ModelMeter } from './model-meter.ts';

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
