import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { callerWith } from '../../test/support/client-keys.ts';
import { ANYTHING, type KeyPolicies } from '../core/client-key.ts';
import type { RequestFence } from '../core/request.ts';
import { allowsModel, applyPolicies, type PolicyQuestion } from './policies.ts';

const OPEN: RequestFence = { place: null, strictModel: false, route: null, maxFirstTokenMs: null };

function ask(policies: Partial<KeyPolicies>, question: Partial<PolicyQuestion>) {
  const caller = callerWith({}, { policies: { ...ANYTHING, ...policies } });
  return applyPolicies(caller, { models: ['gpt-4o'], route: 'default', fence: OPEN, ...question });
}

describe('what a key may be used for', () => {
  test('is everything when nothing is said', () => {
    expect(ask({}, {})).toEqual({ ok: true, fence: OPEN });
    expect(ask({}, { models: ['auto'] })).toEqual({ ok: true, fence: OPEN });
  });

  test.each([
    [['gpt-4o'], 'gpt-4o', true],
    [['gpt-4o'], 'GPT-4o', true],
    [['gpt-4o'], 'gpt-4o-mini', false],
    [['GPT-4*'], 'gpt-4o-mini', true],
    [['gpt-4*'], 'my-gpt-4', false],
    [['gpt.4o'], 'gpt-4o', false],
    [['*'], 'anything', true],
    [['*'], '', true],
    [['gpt-4*'], '', false],
    [['gpt-4*'], 'auto', false],
    [['a*'], 'auto', false],
    [['a*'], '', false],
    [['auto'], '', true],
    [[], 'gpt-4o', false],
  ])('models %j and the question for "%s": %p', (allowed, name, expected) => {
    expect(allowsModel(allowed, name)).toBe(expected);
  });

  test('a name with a pinned provider, or an alias, is allowed as the model that it means', () => {
    expect(ask({ models: ['qwen*'] }, { models: ['lmstudio/qwen3', 'qwen3'] }).ok).toBe(true);
    expect(ask({ models: ['qwen*'] }, { models: ['lmstudio/llama', 'llama'] }).ok).toBe(false);
  });

  test.each([
    [['llama*'], 'llamacpp', 'qwen-72b', false],
    [['llama*'], 'llamacpp', 'llama-3', true],
    [['o*'], 'ollama', 'forbidden:latest', false],
    [['o*'], 'ollama', 'orca', true],
    [['Ollama/*'], 'ollama', 'anything', true],
    [['ollama/q*'], 'ollama', 'qwen3', true],
    [['ollama/q*'], 'ollama', 'llama-3', false],
    [['ollama*'], 'ollama', 'qwen3', false],
    [['ollama/qwen3'], 'ollama', 'qwen3', true],
    [['qwen3'], 'ollama', 'qwen3', true],
    [['*'], 'ollama', 'qwen3', true],
    [['c*'], 'c1', '', false],
    [['c1/a*'], 'c1', '', false],
    [['auto'], 'c1', '', true],
    [['*'], 'c1', '', true],
    [['c1/*'], 'c1', '', true],
    [['c1/auto'], 'c1', '', true],
    [['c2/*'], 'c1', '', false],
  ])('models %j and the provider "%s" pinned for the model "%s": %p', (models, pin, name, expected) => {
    for (const written of [`${pin}/${name}`, `${pin.toUpperCase()}/${name}`, ...(name === '' ? [`${pin}/auto`] : [])]) {
      expect(ask({ models }, { models: [written, `${pin}/${name}`, name], pin }).ok).toBe(expected);
    }
  });

  test('an alias is allowed by its own name, whatever provider it pins', () => {
    expect(ask({ models: ['team-*'] }, { models: ['team-model', 'ollama/qwen3', 'qwen3'], pin: 'ollama' }).ok).toBe(
      true,
    );
  });

  test('a key with a list of models gets no stand-in for one', () => {
    expect(ask({ models: ['gpt-4o'] }, {})).toEqual({ ok: true, fence: { ...OPEN, strictModel: true } });
    expect(ask({ models: ['gpt-4o', '*'] }, {})).toEqual({ ok: true, fence: OPEN });
  });

  test('a key for local servers alone fences each request in, and cannot be let out by a header', () => {
    expect(ask({ places: ['local'] }, {})).toEqual({ ok: true, fence: { ...OPEN, place: 'local' } });
    expect(ask({ places: ['local'] }, { fence: { ...OPEN, place: 'local' } }).ok).toBe(true);
    expect(ask({ places: ['local'] }, { fence: { ...OPEN, place: 'cloud' } })).toMatchObject({
      ok: false,
      refusal: { status: 403, code: 'place_not_allowed' },
    });
    expect(ask({ places: ['local', 'cloud'] }, {})).toEqual({ ok: true, fence: OPEN });
    expect(ask({ places: [] }, {}).ok).toBe(false);
  });

  test('what is refused is named, with what is allowed', () => {
    expect(ask({ models: ['gpt-4o', 'qwen*'] }, { models: ['o3'] })).toEqual({
      ok: false,
      refusal: {
        status: 403,
        code: 'model_not_allowed',
        message: 'The API key "name of alice" may not use the model "o3". Allowed: gpt-4o, qwen*.',
        param: 'model',
        headers: {},
      },
    });
    expect(ask({ routes: ['cheap'] }, { route: 'fast' })).toMatchObject({
      refusal: { status: 403, code: 'route_not_allowed', message: expect.stringContaining('"fast". Allowed: cheap.') },
    });
    expect(ask({ models: [] }, {})).toMatchObject({
      refusal: { message: expect.stringContaining('It may use no model at all.') },
    });
    const many = Array.from({ length: 500 }, (_, at) => `model-${at}`);
    const long = ask({ models: many }, { models: ['x'.repeat(100_000)] });
    expect(long.ok ? 0 : long.refusal.message.length).toBeLessThan(1_000);
  });

  test('the fence that comes out is never wider than the one that went in, nor than the key', () => {
    const place = fc.constantFrom('local' as const, 'cloud' as const);
    const policies = fc.record({
      models: fc.option(fc.subarray(['gpt-4o', 'gpt*', '*', 'o3'])),
      places: fc.option(fc.subarray(['local' as const, 'cloud' as const])),
      routes: fc.option(fc.subarray(['default', 'cheap'])),
    });
    const fences = fc.record({
      place: fc.option(place),
      strictModel: fc.boolean(),
      route: fc.constant(null),
      maxFirstTokenMs: fc.option(fc.nat()),
    });
    fc.assert(
      fc.property(policies, fences, fc.constantFrom('default', 'cheap'), (rules, fence, route) => {
        const answer = ask(rules, { fence, route });
        if (!answer.ok) return;
        const { place: left } = answer.fence;
        if (fence.place !== null) expect(left).toBe(fence.place);
        for (const target of left === null ? (['local', 'cloud'] as const) : [left]) {
          expect(rules.places === null || rules.places.includes(target)).toBe(true);
        }
        expect(answer.fence.strictModel).toBe(
          fence.strictModel || (rules.models !== null && !rules.models.includes('*')),
        );
        expect(rules.routes === null || rules.routes.includes(route)).toBe(true);
        expect(answer.fence.maxFirstTokenMs).toBe(fence.maxFirstTokenMs);
      }),
    );
  });
});
