import { blockCount, NO_PROMPT, type PromptFacts } from '../../src/core/prompt.ts';
import { type PlanOptions, planRoute } from '../../src/router/plan.ts';
import { localFirst } from '../../src/router/strategies/local-first.ts';
import type { TargetEntry } from '../../src/router/targets.ts';
import { entryOf } from '../../test/support/fleet.ts';
import { keep, type MicroResult, timePerRunNs } from './harness.ts';

const OPTIONS: PlanOptions = {
  strategy: localFirst,
  maxAttempts: 4,
  aliases: new Map(),
  defaultModel: null,
  standIn: 'always',
  maxFirstTokenMs: null,
  spilling: new Set(),
};
const FENCE = { place: null, strictModel: false, route: null, maxFirstTokenMs: null };

/** Four local nodes of five, each with ten models, and a cloud provider with a hundred. */
function fleet(size: number): TargetEntry[] {
  return Array.from({ length: size }, (_, at) => {
    const cloud = at % 5 === 4;
    const models = Array.from({ length: cloud ? 100 : 10 }, (_, model) => `vendor/model-${model}`);
    return entryOf({ id: `target-${at}`, kind: cloud ? 'openrouter' : 'lm-studio', models });
  });
}

/** A prompt of 20 KB whose first half is a system prompt that all share. */
function prompt(conversation: number): PromptFacts {
  const bytes = 20_000;
  const blocks = Uint32Array.from({ length: blockCount(bytes) }, (_, at) => (at < 35 ? at : conversation * 1_000 + at));
  return { ...NO_PROMPT, bytes, sentBytes: bytes, conversation, blocks };
}

/** Each target has answered, and holds its part of so many conversations. */
function taught(entries: readonly TargetEntry[], conversations: number): readonly TargetEntry[] {
  for (const entry of entries) {
    const meter = entry.book.open(entry.target, 'vendor/model-3');
    meter.cache.resize(conversations / entries.length);
    for (let n = 0; n < conversations / entries.length; n++) meter.cache.add(prompt(n * entries.length), 0);
    for (const promptTokens of [1_000, 2_000, 5_000]) {
      meter.learn({
        promptTokens,
        cachedTokens: 0,
        completionTokens: 100,
        promptBytes: promptTokens * 4,
        hasMedia: false,
        wasCut: false,
        hitLimit: false,
        conversation: 0,
        atMs: 0,
        predictedCachedTokens: 0,
        readingSeconds: promptTokens / 1_000,
        writingSeconds: 2,
        beside: 1,
        loaded: true,
      });
      entry.book.learned(entry.target, 'vendor/model-3', meter);
    }
  }
  return entries;
}

/** What one plan costs. */
export function planBenchmarks(): MicroResult[] {
  return [...plansWithoutHistory(), ...[5, 100].map(planWithHistory)];
}

/** Speeds are known, and 1,000 conversations are remembered (50 where five targets cannot have more). */
function planWithHistory(size: number): MicroResult {
  const conversations = size * 10;
  const entries = taught(fleet(size), conversations);
  const request = { operation: 'chat' as const, requestedModel: 'model-3', fence: FENCE, prompt: prompt(7) };
  return {
    name: `planRoute, ${size} targets, measured, ${conversations} conversations remembered`,
    rounds: timePerRunNs(() => keep(planRoute(request, entries, OPTIONS, 0))),
  };
}

function plansWithoutHistory(): MicroResult[] {
  return [5, 100].flatMap((size) => {
    const entries = fleet(size);
    const time = (name: string, requestedModel: string): MicroResult => ({
      name: `planRoute, ${size} targets, ${name}`,
      rounds: timePerRunNs(() =>
        keep(planRoute({ operation: 'chat', requestedModel, fence: FENCE, prompt: NO_PROMPT }, entries, OPTIONS, 0)),
      ),
    });
    return [time('a model that all have', 'model-3'), time('a name that none has (stand-in)', 'gpt-unknown')];
  });
}
