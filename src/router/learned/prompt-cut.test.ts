import { expect, test } from 'bun:test';
import { NO_PROMPT, type PromptFacts } from '../../core/prompt.ts';
import type { Usage } from '../../core/usage.ts';
import { Activity } from './activity.ts';
import { ModelMeter } from './model-meter.ts';
import { promptWasCut } from './prompt-cut.ts';

const WORDS = 4_000;
const promptOf = (change: Partial<PromptFacts> = {}): PromptFacts => ({
  ...NO_PROMPT,
  bytes: WORDS * 6,
  sentBytes: WORDS * 6,
  conversation: 7,
  words: (atMost) => Math.min(WORDS, atMost),
  ...change,
});
const READ_600: Usage = {
  promptTokens: 600,
  completionTokens: 10,
  cachedTokens: null,
  reasoningTokens: 0,
  costNanoUsd: null,
};

function cutAt(activity: Activity, prompt: PromptFacts, meter = new ModelMeter()): boolean {
  return promptWasCut(activity.began(meter, 'm', prompt, true, 0), READ_600);
}

test('a prompt was cut when fewer tokens are reported than it has words', () => {
  expect(cutAt(new Activity(), promptOf())).toBe(true);
});

test('no prompt was cut without a word whose client asked for it', () => {
  expect(cutAt(new Activity(), promptOf({ cutOnRequest: true }))).toBe(false);
});

test('a server that counts only what it read may have had the earlier turns cached, as long as we did not send them', () => {
  const ollama = () => new Activity(true, true);
  const laterTurn = promptOf({ earlierTurns: 1 });
  expect(cutAt(ollama(), laterTurn)).toBe(false);
  expect(cutAt(ollama(), promptOf())).toBe(true);
  expect(cutAt(new Activity(), laterTurn)).toBe(true);
  const meter = new ModelMeter();
  meter.cache.add({ ...NO_PROMPT, conversation: 7 }, 0);
  expect(cutAt(ollama(), laterTurn, meter)).toBe(true);
});
