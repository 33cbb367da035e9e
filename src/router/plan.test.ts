import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { type EntrySketch, entryOf, snapshotOf } from '../../test/support/fleet.ts';
import { NO_PROMPT } from '../core/prompt.ts';
import type { RequestFence } from '../core/request.ts';
import type { AdapterKind } from '../core/target.ts';
import { type PlanOptions, planRoute } from './plan.ts';
import { localFirst } from './strategies/local-first.ts';
import type { TargetEntry } from './targets.ts';

const OPTIONS: PlanOptions = {
  strategy: localFirst,
  maxAttempts: 4,
  aliases: new Map(),
  defaultModel: null,
  standIn: 'always',
  maxFirstTokenMs: null,
  spilling: new Set(),
};
const OPEN: RequestFence = { place: null, strictModel: false, route: null, maxFirstTokenMs: null };

function plan(
  entries: readonly TargetEntry[],
  model: string,
  options: Partial<PlanOptions> = {},
  fence: Partial<RequestFence> = {},
) {
  return planRoute(
    { operation: 'chat', requestedModel: model, fence: { ...OPEN, ...fence }, prompt: NO_PROMPT },
    entries,
    { ...OPTIONS, ...options },
    0,
  );
}

/** `target:model`, in order; `…(waits)` for a step that waits for a slot; the code of a refusal. */
function steps(...args: Parameters<typeof plan>): string[] {
  const result = plan(...args);
  if ('noRoute' in result) return [`${result.noRoute.status} ${result.noRoute.code}`];
  return result.plan.steps.map((step) => `${step.target.id}:${step.model}${step.waits ? ' (waits)' : ''}`);
}

const lmStudio = (sketch: EntrySketch = {}) => entryOf({ models: ['qwen/qwen2.5-7b-instruct'], ...sketch });
const openRouter = (sketch: EntrySketch = {}) =>
  entryOf({ kind: 'openrouter', models: ['openai/gpt-4o-mini', 'anthropic/claude'], ...sketch });
const azure = (sketch: EntrySketch = {}) =>
  entryOf({ kind: 'azure-openai', deployments: { 'gpt-4o': 'my-gpt4o' }, listsEverything: false, ...sketch });

describe('local first', () => {
  test('tries the local targets before any cloud one', () => {
    expect(steps([openRouter(), lmStudio()], 'qwen2.5-7b-instruct')).toEqual(['lmstudio:qwen/qwen2.5-7b-instruct']);
    expect(steps([openRouter(), lmStudio()], 'gpt-4o-mini')).toEqual([
      'lmstudio:qwen/qwen2.5-7b-instruct',
      'openrouter:openai/gpt-4o-mini',
    ]);
  });

  test('takes the least loaded one first, LM Studio at equal load', () => {
    const ollama = entryOf({ kind: 'ollama', models: ['m'], slots: 4 });
    const studio = entryOf({ models: ['m'] });
    expect(steps([ollama, studio], 'm')).toEqual(['lmstudio:m', 'ollama:m']);
    studio.inFlight = 2;
    expect(steps([ollama, studio], 'm')).toEqual(['ollama:m', 'lmstudio:m']);
  });

  test('prefers a target that has the model in memory over one that would have to load it', () => {
    const loaded = entryOf({ id: 'a', models: ['m'] });
    const onDisk = entryOf({ id: 'b', models: [{ id: 'm', state: 'on-disk' }] });
    loaded.inFlight = 3;
    expect(steps([onDisk, loaded], 'm')).toEqual(['a:m', 'b:m']);
  });

  test('overflows to the cloud when all suitable local slots are taken, and only then waits for one', () => {
    const studio = lmStudio();
    studio.inFlight = 4;
    expect(steps([studio, openRouter()], 'gpt-4o-mini')).toEqual([
      'openrouter:openai/gpt-4o-mini',
      'lmstudio:qwen/qwen2.5-7b-instruct (waits)',
    ]);
    expect(steps([studio], 'gpt-4o-mini')).toEqual(['lmstudio:qwen/qwen2.5-7b-instruct (waits)']);
  });

  test('counts the slots that each loaded model reports for itself', () => {
    const studio = entryOf({
      models: [
        { id: 'small', slots: 2 },
        { id: 'large', slots: 1 },
      ],
      slots: 3,
    });
    studio.inFlight = 1;
    studio.busyByModel.set('large', 1);
    expect(steps([studio], 'small')).toEqual(['lmstudio:small']);
    expect(steps([studio], 'large')).toEqual(['lmstudio:large (waits)']);
  });

  test('goes round robin among the cloud targets', () => {
    const a = openRouter();
    const b = entryOf({ id: 'other', kind: 'openai-compatible', place: 'cloud', models: ['gpt-4o-mini'] });
    a.lastUsedSequence = 7;
    b.lastUsedSequence = 6;
    expect(steps([a, b], 'gpt-4o-mini')).toEqual(['other:gpt-4o-mini', 'openrouter:openai/gpt-4o-mini']);
  });

  test('skips a target that is down and says why', () => {
    const studio = lmStudio();
    studio.breaker = { name: 'open', trialAtMs: 0, failedTrials: 0 };
    studio.probeFailure = { message: 'connection refused', silent: true };
    const result = plan([studio, openRouter()], 'gpt-4o-mini');
    expect('plan' in result && result.plan.steps.map((step) => step.target.id)).toEqual(['openrouter']);
    expect('plan' in result && result.plan.leftOut).toEqual([
      { kind: 'down', targetId: 'lmstudio', place: 'local', reason: 'down: connection refused' },
    ]);
  });

  test('leaves a target alone that asked for it, and tells when it may be asked again', () => {
    const router = openRouter();
    router.cooldown = { untilMs: 2_500, kind: 'overloaded', stated: true };
    const other = entryOf({ id: 'other', kind: 'openai-compatible', place: 'cloud', models: ['gpt-4o-mini'] });
    expect(steps([router, other], 'gpt-4o-mini')).toEqual(['other:gpt-4o-mini']);
    const refused = plan([router], 'gpt-4o-mini');
    expect('noRoute' in refused && [refused.noRoute.status, refused.noRoute.retryAfterMs]).toEqual([429, 2_500]);
  });

  test('still asks it when the time was only a guess and nobody else is left', () => {
    const router = openRouter();
    router.cooldown = { untilMs: 2_500, kind: 'overloaded', stated: false };
    expect(steps([router], 'gpt-4o-mini')).toEqual(['openrouter:openai/gpt-4o-mini']);
  });

  test('asks a target that failed lately but answers probes when nobody else is left', () => {
    const studio = lmStudio();
    studio.breaker = { name: 'open', trialAtMs: 0, failedTrials: 0 };
    expect(steps([studio], 'qwen2.5-7b-instruct')).toEqual(['lmstudio:qwen/qwen2.5-7b-instruct']);
    const result = plan([studio, openRouter()], 'gpt-4o-mini');
    const planned = 'plan' in result ? result.plan.steps : [];
    expect(planned.map((step) => [step.target.id, step.resting])).toEqual([
      ['openrouter', false],
      ['lmstudio', true],
    ]);
  });

  test('does not ask it any more once its retry budget is spent', () => {
    const studio = lmStudio();
    studio.breaker = { name: 'open', trialAtMs: 0, failedTrials: 0 };
    while (studio.retryBudget.withdraw());
    expect(steps([studio, openRouter()], 'gpt-4o-mini')).toEqual(['openrouter:openai/gpt-4o-mini']);
  });

  test('never takes away the last candidate, and of several that are spent asks one', () => {
    const spent = (id: string) => {
      const studio = lmStudio({ id });
      studio.breaker = { name: 'open', trialAtMs: 0, failedTrials: 0 };
      while (studio.retryBudget.withdraw());
      return studio;
    };
    const result = plan([spent('a'), spent('b')], 'qwen2.5-7b-instruct');
    expect('plan' in result && result.plan.steps.map((step) => [step.target.id, step.lastHope])).toEqual([['a', true]]);
  });

  test('a target whose health check fails in words may still serve; one that is silent may not', () => {
    const studio = lmStudio();
    studio.breaker = { name: 'open', trialAtMs: 0, failedTrials: 0 };
    studio.probeFailure = { message: 'it answered 500', silent: false };
    expect(steps([studio], 'qwen2.5-7b-instruct')).toEqual(['lmstudio:qwen/qwen2.5-7b-instruct']);
    studio.probeFailure = { message: 'no answer', silent: true };
    expect(steps([studio], 'qwen2.5-7b-instruct')).toEqual(['503 no_target_available']);
  });

  test('asks others before one that says it is loading, and waits for that one when nobody else is there', () => {
    const loading = lmStudio();
    loading.breaker = { name: 'warming', trialEarned: false, trialRunning: false };
    const result = plan([loading], 'qwen2.5-7b-instruct');
    expect('plan' in result && result.plan.steps[0].waits).toBe(true);
    expect(steps([loading, openRouter()], 'gpt-4o-mini')[0]).toBe('openrouter:openai/gpt-4o-mini');
  });
});

describe('the only local server, resting', () => {
  const trial = () => {
    const studio = lmStudio();
    studio.breaker = { name: 'half-open', trialRunning: true, failedTrials: 0 };
    return studio;
  };
  const guessed = () => {
    const studio = lmStudio();
    studio.cooldown = { untilMs: 1_000, kind: 'overloaded', stated: false };
    return studio;
  };
  for (const [name, build, waits] of [
    ['on trial', trial, ' (waits)'],
    ['after a rate limit of unknown length', guessed, ''],
  ] as const) {
    test(`${name}: still serves "auto", a missing model and foreign names`, () => {
      for (const model of ['auto', '', 'gpt-4o', 'qwen2.5-7b-instruct']) {
        expect(steps([build()], model)).toEqual([`lmstudio:qwen/qwen2.5-7b-instruct${waits}`]);
      }
      expect(steps([build(), openRouter()], 'gpt-4o-mini')).toEqual([
        'openrouter:openai/gpt-4o-mini',
        `lmstudio:qwen/qwen2.5-7b-instruct${waits}`,
      ]);
    });
  }

  test('loading its model: is waited for, but not under a strict foreign name', () => {
    const loading = entryOf({ kind: 'llama-cpp', models: [] });
    loading.snapshot = { ...snapshotOf({ models: ['qwen'] }), warming: true };
    expect(steps([loading], 'gpt-4o')).toEqual(['llamacpp:qwen']);
    expect(steps([loading], 'gpt-4o', {}, { strictModel: true })).toEqual(['404 model_not_found']);
  });
});

describe('names of targets that are out of rotation', () => {
  const downRouter = () => {
    const router = openRouter();
    router.breaker = { name: 'open', trialAtMs: 0, failedTrials: 0 };
    router.probeFailure = { message: 'refused', silent: true };
    return router;
  };

  test('"unknown" does not stand in for a name that a target has, though it is down', () => {
    expect(steps([lmStudio(), downRouter()], 'gpt-4o-mini', { standIn: 'unknown' })).toEqual([
      '503 no_target_available',
    ]);
    expect(steps([lmStudio(), downRouter()], 'nobody-has-it', { standIn: 'unknown' })).toEqual([
      'lmstudio:qwen/qwen2.5-7b-instruct',
    ]);
  });

  test('a name that nobody has is 404, also while a target is cooling down', () => {
    const router = openRouter();
    router.cooldown = { untilMs: 9_000, kind: 'overloaded', stated: true };
    expect(steps([lmStudio(), router], 'nonsense', { standIn: 'never' })).toEqual(['404 model_not_found']);
    expect(steps([lmStudio(), router], 'gpt-4o-mini', { standIn: 'never' })).toEqual(['429 rate_limit_exceeded']);
  });
});

describe('which model answers', () => {
  test('an alias comes first and may name a provider', () => {
    const aliases = new Map([['gpt-4', 'openrouter/openai/gpt-4o-mini']]);
    expect(steps([lmStudio(), openRouter()], 'gpt-4', { aliases })).toEqual(['openrouter:openai/gpt-4o-mini']);
  });

  test('a provider-qualified name pins that provider', () => {
    expect(steps([lmStudio(), openRouter()], 'openrouter/openai/gpt-4o-mini')).toEqual([
      'openrouter:openai/gpt-4o-mini',
    ]);
    expect(steps([lmStudio(), openRouter()], 'lmstudio/qwen2.5-7b-instruct')).toEqual([
      'lmstudio:qwen/qwen2.5-7b-instruct',
    ]);
    expect(steps([lmStudio(), azure()], 'azure/gpt-4o')).toEqual(['azure:my-gpt4o']);
    expect(steps([lmStudio()], 'azure/gpt-4o')).toEqual(['404 model_not_found']);
  });

  test('"auto" and a missing model mean the default model, else the loaded one', () => {
    const studio = entryOf({
      models: [{ id: 'cold', state: 'on-disk' }, 'warm', { id: 'nomic-embed', kind: 'embedding' }],
    });
    expect(steps([studio], 'auto')).toEqual(['lmstudio:warm']);
    expect(steps([studio], '')).toEqual(['lmstudio:warm']);
    expect(steps([studio], 'auto', { defaultModel: 'cold' })).toEqual(['lmstudio:cold']);
  });

  test('a name that no local target has is answered by the loaded model, unless stand-ins are off', () => {
    const fleet = () => [lmStudio(), openRouter()];
    expect(steps(fleet(), 'gpt-4o-mini')[0]).toBe('lmstudio:qwen/qwen2.5-7b-instruct');
    expect(steps(fleet(), 'gpt-4o-mini', { standIn: 'unknown' })).toEqual(['openrouter:openai/gpt-4o-mini']);
    expect(steps(fleet(), 'nobody-has-it', { standIn: 'unknown' })).toEqual(['lmstudio:qwen/qwen2.5-7b-instruct']);
    expect(steps(fleet(), 'gpt-4o-mini', { standIn: 'never' })).toEqual(['openrouter:openai/gpt-4o-mini']);
    expect(steps(fleet(), 'gpt-4o-mini', {}, { strictModel: true })).toEqual(['openrouter:openai/gpt-4o-mini']);
    expect(steps(fleet(), 'nobody-has-it', { standIn: 'never' })).toEqual(['404 model_not_found']);
  });

  test('no stand-in answers where one local target has the name, also only on disk', () => {
    const has = entryOf({ id: 'has', models: [{ id: 'wanted', state: 'on-disk' }] });
    const lacks = entryOf({ id: 'lacks', models: ['other'] });
    expect(steps([lacks, has], 'wanted')).toEqual(['has:wanted']);
  });

  test('with several models loaded the least loaded one stands in', () => {
    const studio = entryOf({
      models: [
        { id: 'busy', slots: 2 },
        { id: 'idle', slots: 2 },
      ],
    });
    studio.busyByModel.set('busy', 1);
    expect(steps([studio], 'gpt-4')).toEqual(['lmstudio:idle']);
  });

  test('a model on disk that nobody asked for is loaded only when nobody else can serve', () => {
    const ollama = entryOf({ kind: 'ollama', models: [{ id: 'llama3:latest', state: 'on-disk' }] });
    expect(steps([ollama, openRouter()], 'gpt-4o-mini')).toEqual([
      'openrouter:openai/gpt-4o-mini',
      'ollama:llama3:latest',
    ]);
    expect(steps([ollama], 'gpt-4o-mini')).toEqual(['ollama:llama3:latest']);
    expect(steps([ollama], 'llama3')).toEqual(['ollama:llama3:latest']);
  });

  test('embedding models never answer chat', () => {
    const studio = entryOf({ models: [{ id: 'nomic-embed', kind: 'embedding' }] });
    expect(steps([studio], 'nomic-embed')).toEqual(['404 model_not_found']);
    expect(steps([studio], 'gpt-4')).toEqual(['404 model_not_found']);
  });

  test("a provider's default model takes names that it does not know, but not under strict", () => {
    const router = openRouter({ defaultModel: 'openai/gpt-4o-mini' });
    const deployments = azure({ defaultModel: 'fallback' });
    expect(steps([router], 'qwen3')).toEqual(['openrouter:openai/gpt-4o-mini']);
    expect(steps([deployments], 'qwen3')).toEqual(['azure:fallback']);
    expect(steps([router, deployments], 'qwen3', {}, { strictModel: true })).toEqual(['404 model_not_found']);
  });

  test('no vendor before the name of a deployment makes it another name under strict', () => {
    expect(steps([azure()], 'qwen/gpt-4o')).toEqual(['azure:my-gpt4o']);
    expect(steps([azure()], 'qwen/gpt-4o', {}, { strictModel: true })).toEqual(['404 model_not_found']);
    expect(steps([azure()], 'gpt-4o', {}, { strictModel: true })).toEqual(['azure:my-gpt4o']);
  });

  test('a cloud target whose list is not known yet is given the name as asked', () => {
    const router = openRouter({ models: [], listsEverything: false });
    expect(steps([router], 'openai/new-model')).toEqual(['openrouter:openai/new-model']);
  });

  test('OpenRouter chooses for itself when no model is named', () => {
    expect(steps([openRouter()], 'auto')).toEqual(['openrouter:openrouter/auto']);
  });
});

describe('fences and refusals', () => {
  test('a place fence is never crossed', () => {
    const fleet = [lmStudio(), openRouter()];
    expect(steps(fleet, 'gpt-4o-mini', {}, { place: 'cloud' })).toEqual(['openrouter:openai/gpt-4o-mini']);
    expect(steps(fleet, 'gpt-4o-mini', {}, { place: 'local' })).toEqual(['lmstudio:qwen/qwen2.5-7b-instruct']);
    expect(steps([openRouter()], 'gpt-4o-mini', {}, { place: 'local' })).toEqual(['503 no_target_available']);
  });

  test('a refusal for a missing model names models that are there', () => {
    const result = plan([lmStudio()], 'gpt-9', { standIn: 'never' });
    expect('noRoute' in result && result.noRoute.message).toContain('qwen/qwen2.5-7b-instruct');
  });

  test('a fleet that is down is 503 with a time to ask again, not 404', () => {
    const studio = lmStudio();
    studio.breaker = { name: 'open', trialAtMs: 0, failedTrials: 0 };
    studio.probeFailure = { message: 'refused', silent: true };
    const result = plan([studio], 'qwen2.5-7b-instruct');
    expect('noRoute' in result && [result.noRoute.status, result.noRoute.retryAfterMs]).toEqual([503, 1_000]);
  });
});

describe('for any fleet', () => {
  const sketch = fc.record({
    kind: fc.constantFrom('lm-studio', 'ollama', 'llama-cpp', 'openrouter', 'azure-openai' as const),
    models: fc.array(fc.constantFrom('a', 'b', 'x/a', 'x/c'), { maxLength: 3 }),
    busy: fc.nat(5),
    state: fc.constantFrom('up', 'down', 'trial', 'unprobed'),
    optional: fc.boolean(),
  });
  type Sketch = typeof sketch extends fc.Arbitrary<infer Drawn> ? Drawn : never;
  const build = (drawn: Sketch, index: number): TargetEntry => {
    const entry = entryOf({
      id: `t${index}`,
      kind: drawn.kind as AdapterKind,
      models: drawn.models,
      optional: drawn.optional,
    });
    entry.inFlight = drawn.busy;
    if (drawn.state === 'down') entry.breaker = { name: 'open', trialAtMs: 0, failedTrials: 1 };
    if (drawn.state === 'trial') entry.breaker = { name: 'half-open', trialRunning: true, failedTrials: 0 };
    if (drawn.state === 'unprobed') entry.snapshot = null;
    return entry;
  };

  test('each target is a step at most once or left out with a reason, fences hold, and planning changes nothing', () => {
    fc.assert(
      fc.property(
        fc.array(sketch, { maxLength: 8 }),
        fc.constantFrom('a', 'x/a', 'zzz', 'auto', 'ollama/b'),
        fc.constantFrom('always', 'unknown', 'never' as const),
        fc.constantFrom(null, 'local', 'cloud' as const),
        (drawn, model, standIn, place) => {
          const entries = drawn.map((one, index) => build(one, index));
          const before = JSON.stringify(entries);
          const request = {
            operation: 'chat' as const,
            requestedModel: model,
            fence: { ...OPEN, place },
            prompt: NO_PROMPT,
          };
          const options = { ...OPTIONS, standIn: standIn as PlanOptions['standIn'] };
          const result = planRoute(request, entries, options, 0);
          expect(planRoute(request, entries, options, 0)).toEqual(result);
          expect(JSON.stringify(entries)).toBe(before);
          const taken = 'plan' in result ? result.plan.steps : [];
          const leftOut = 'plan' in result ? result.plan.leftOut : result.noRoute.leftOut;
          expect(new Set(taken.map((step) => step.target.id)).size).toBe(taken.length);
          if (place !== null) expect(taken.every((step) => step.target.place === place)).toBe(true);
          const named = new Set([...taken.map((step) => step.target.id), ...leftOut.map((left) => left.targetId)]);
          expect(named.size).toBe(entries.length);
          for (const step of taken) expect(step.reason).not.toBe('');
        },
      ),
      { numRuns: 500 },
    );
  });
});
