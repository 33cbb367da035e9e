import type { Lesson } from '../../src/router/learned/model-meter.ts';

/** An ordinary answer: 1,000 tokens read in a second, 101 written in two. */
export const LESSON: Lesson = {
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
