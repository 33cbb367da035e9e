import { describe, expect, test } from 'bun:test';
import type { Decision, DecisionQuery } from '../core/decision.ts';
import { FAILURE_RULES } from '../core/failure.ts';
import type { Outcome } from '../core/outcome.ts';
import type { PlanStep } from '../core/plan.ts';
import { Secret } from '../core/secret.ts';
import type { Target } from '../core/target.ts';
import { DecisionRing } from './decision-ring.ts';
import { exhausted, failedAttempt, served, someAttempt, someRequest } from './outcome-fixture.ts';

const ALL: DecisionQuery = { limit: 1_000, targetId: null, model: null, sinceWallMs: null };

const TARGET: Target = {
  id: 'lmstudio',
  provider: 'lmstudio',
  adapterKind: 'lm-studio',
  place: 'local',
  baseUrl: 'http://user:hunter2@box:1234',
  apiKey: new Secret('sk-canary-key'),
  source: 'yaml',
  optional: false,
  network: 'any',
  maxConcurrent: null,
  clocks: { connectMs: 1, firstByteMs: 1, firstTokenMs: 1, idleMs: 1, warmupMs: 1, streamMs: 1, queueMs: null },
  defaultModel: null,
  deployments: new Map(),
  apiVersion: null,
  continuesAnswers: null,
  assembleWholeReplies: true,
};

const ESTIMATE = {
  terms: { load: 0, wait: 0.5, prefill: 0.25, decode: 2, network: 0.01 },
  seconds: 2.76,
  firstTokenSeconds: 0.76,
  cachedTokens: 12,
  priceNanoUsd: 0,
  measured: true,
};

function step(changes: Partial<PlanStep> = {}): PlanStep {
  return {
    target: TARGET,
    model: 'qwen2.5-7b',
    modelLoaded: true,
    waits: false,
    waitAtMostMs: null,
    resting: false,
    lastHope: false,
    reason: 'local, 0 of 4 slots busy',
    estimate: ESTIMATE,
    ...changes,
  };
}

function ringOf(capacity: number, ...outcomes: readonly Outcome[]): DecisionRing {
  const ring = new DecisionRing(capacity, () => 10_000);
  for (const outcome of outcomes) ring.record(outcome);
  return ring;
}

const withId = (id: string): Outcome => served({ request: someRequest({ id }) });
const ids = (decisions: readonly Decision[]): string[] => decisions.map(({ requestId }) => requestId);

describe('the ring of decisions', () => {
  test('keeps the newest ones, newest first, and never more than its capacity', () => {
    const ring = ringOf(3);
    expect(ring.recent(ALL)).toEqual([]);
    for (let number = 1; number <= 7; number++) {
      ring.record(withId(`r${number}`));
      expect(ring.recent(ALL).length).toBe(Math.min(number, 3));
    }
    expect(ids(ring.recent(ALL))).toEqual(['r7', 'r6', 'r5']);
    expect(ids(ring.recent({ ...ALL, limit: 2 }))).toEqual(['r7', 'r6']);
    expect([ring.find('r6')?.requestId, ring.find('r4')]).toEqual(['r6', null]);
  });

  test('keeps nothing with a capacity of 0', () => {
    expect(ringOf(0, withId('r1')).recent(ALL)).toEqual([]);
  });

  test('finds by target, also one that only failed, by model asked or answered, and by time', () => {
    const ring = ringOf(
      9,
      withId('first'),
      served({
        request: someRequest({ id: 'second', requestedModel: 'other' }),
        attempts: [failedAttempt, someAttempt({ targetId: 'ollama' })],
        by: someAttempt({ targetId: 'ollama' }),
      }),
      served({
        request: someRequest({ id: 'third' }),
        attempts: [],
        by: someAttempt({ targetId: 'vllm' }),
        model: 'm3',
      }),
    );
    expect(ids(ring.recent({ ...ALL, targetId: 'lmstudio' }))).toEqual(['second', 'first']);
    expect(ids(ring.recent({ ...ALL, targetId: 'ollama' }))).toEqual(['second']);
    expect(ids(ring.recent({ ...ALL, model: 'other' }))).toEqual(['second']);
    expect(ids(ring.recent({ ...ALL, model: 'm3' }))).toEqual(['third']);
    expect(ids(ring.recent({ ...ALL, sinceWallMs: 10_001 }))).toEqual([]);
  });

  test('keeps the plan with its cost, what was predicted beside what was reported, and each failed attempt', () => {
    const plan = { steps: [step(), step({ waits: true, estimate: null })], promptTokens: 48, spills: false } as const;
    const outcome = served({ plan, attempts: [failedAttempt, someAttempt()], durationMs: 1_000 });
    const [decision] = ringOf(1, outcome).recent(ALL);
    expect(decision).toMatchObject({
      atWallMs: 9_000,
      outcome: 'served',
      status: 200,
      modelAsked: 'gpt-4o-mini',
      modelAnswered: 'qwen2.5-7b',
      targetId: 'lmstudio',
      firstContentMs: 120,
      promptTokens: { estimated: 48, reported: 50 },
      cachedTokens: { estimated: 12, reported: 10 },
      completionTokens: 7,
      promptCut: false,
      steps: { total: 2 },
      attempts: { total: 2 },
    });
    expect(decision?.steps.items.map(({ estimate, waits }) => [estimate, waits])).toEqual([
      [ESTIMATE, false],
      [null, true],
    ]);
    expect(decision?.attempts.items[0]).toMatchObject({ failure: 'unreachable', failureMessage: 'connection refused' });
    expect(ringOf(1, exhausted()).recent(ALL)[0]).toMatchObject({
      outcome: 'exhausted',
      status: 503,
      code: 'target_unreachable',
      targetId: null,
      modelAnswered: null,
      leftOut: { items: [{ targetId: 'openrouter', kind: 'down', reason: 'no key' }], total: 1 },
    });
  });

  test('keeps no words of a server, which may repeat the prompt: what its failure means stands for them', () => {
    const said = { failureMessage: 'cannot parse "private words"', firstContentMs: null } as const;
    const attempts = [
      someAttempt({ ...said, failure: 'rejected', status: 400 }),
      someAttempt({ ...said, failure: 'malformed', status: null }),
      someAttempt({ ...said, failure: 'timeout', status: 504 }),
      failedAttempt,
    ];
    const [decision] = ringOf(1, { ...exhausted(), attempts }).recent(ALL);
    const messages = decision?.attempts.items.map(({ failureMessage }) => failureMessage);
    expect(messages).toEqual([
      FAILURE_RULES.rejected.meaning,
      FAILURE_RULES.malformed.meaning,
      FAILURE_RULES.timeout.meaning,
      'connection refused',
    ]);
    expect(JSON.stringify(decision)).not.toContain('private words');
  });

  test('keeps small plain data: no target, no prompt, no credential, whatever is long cut short', () => {
    const prompt = `private words ${'x'.repeat(100_000)}`;
    const long = 'y'.repeat(100_000);
    const many = Array.from({ length: 500 }, () => step({ reason: long, model: long }));
    const plan = { steps: [step(), ...many] as const, promptTokens: 1, spills: false };
    const failed = someAttempt({
      failure: 'unreachable',
      status: null,
      failureMessage: long,
      reason: long,
      model: long,
    });
    const rawBody = new TextEncoder().encode(JSON.stringify({ messages: [{ role: 'user', content: prompt }] }));
    const ring = ringOf(
      1,
      served({
        request: someRequest({ rawBody, body: { prompt }, requestedModel: long, traceparent: 'trace-canary' }),
        plan,
        attempts: Array.from({ length: 500 }, () => failed),
        leftOut: Array.from(
          { length: 500 },
          () => ({ kind: 'down', targetId: 'b', place: 'local', reason: long }) as const,
        ),
        model: long,
      }),
    );
    const [decision] = ring.recent(ALL);
    const text = JSON.stringify(decision);
    expect(text.length).toBeLessThan(64 * 1024);
    expect(text).not.toMatch(/private words|canary|hunter2/);
    expect(decision?.steps).toMatchObject({ total: 501 });
    // Plain data alone survives this: a Target with its Map and its Secret, or bytes, would not.
    expect(JSON.parse(text)).toEqual(decision);
    expect(typesIn(decision)).toEqual(new Set(['Object', 'Array']));
  });
});

/** Names of the classes of all objects in it. */
function typesIn(value: unknown, types = new Set<string>()): Set<string> {
  if (typeof value !== 'object' || value === null) return types;
  types.add(value.constructor.name);
  for (const inner of Object.values(value)) typesIn(inner, types);
  return types;
}
