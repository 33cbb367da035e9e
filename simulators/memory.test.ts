import { describe, expect, test } from 'bun:test';
import { chat, type Json, jsonOf, simulate, stopSimulatorsAfterEach } from './test-support.ts';

stopSimulatorsAfterEach();

const onDisk = (id: string) => ({ id, state: 'on-disk' as const });
const say = (content: string) => ({ messages: [{ role: 'user', content }] });
const words = (count: number, word = 'w') => Array.from({ length: count }, (_, at) => `${word}${at}`).join(' ');
const TELLING = ['vllm', 'sglang'];
const usageOf = (reply: Json) => reply['usage'] as Json;

describe('LM Studio', () => {
  test('breaks off the answers of a model that a request loaded, when a request loads another', async () => {
    const server = await simulate({
      kind: 'lm-studio',
      models: [onDisk('a'), onDisk('b')],
      loadMs: 5,
      replyTokens: 500,
      tokensPerSecond: 200,
    });
    const first = await chat(server, { model: 'a', stream: true });
    const read = first.text().then(
      (text) => text.includes('[DONE]'),
      () => false,
    );
    const second = await chat(server, { model: 'b', max_tokens: 3 });
    expect([await read, second.status]).toEqual([false, 200]);
    expect(server.memory()).toEqual({ loads: { a: 1, b: 1 }, busyEvictions: 1, copies: 0 });
  });

  test('keeps models that were loaded explicitly, also while they are idle', async () => {
    const server = await simulate({ kind: 'lm-studio', models: [{ id: 'a' }, onDisk('b')], loadMs: 5 });
    await (await chat(server, { model: 'b' })).text();
    await (await chat(server, { model: 'a' })).text();
    expect(server.memory()).toEqual({ loads: { b: 1 }, busyEvictions: 0, copies: 0 });
  });

  test('loads a model twice for two requests that come at once', async () => {
    const server = await simulate({ kind: 'lm-studio', models: [onDisk('a')], loadMs: 30 });
    const replies = await Promise.all([chat(server, { model: 'a' }), chat(server, { model: 'a' })]);
    expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    expect(server.memory()).toEqual({ loads: { a: 2 }, busyEvictions: 0, copies: 1 });
  });
});

describe('Ollama', () => {
  test('keeps three models, and loads a fourth only when the one that goes is idle', async () => {
    const server = await simulate({
      kind: 'ollama',
      models: [{ id: 'a' }, { id: 'b' }, { id: 'c' }, onDisk('d')],
      loadMs: 5,
      replyTokens: 30,
      tokensPerSecond: 200,
    });
    const running = ['a', 'b', 'c'].map(async (model) => {
      const text = await (await chat(server, { model, stream: true })).text();
      return [text.includes('[DONE]'), performance.now()] as const;
    });
    const late = chat(server, { model: 'd', stream: true }).then(() => performance.now());
    const ended = await Promise.all(running);
    expect(ended.map(([whole]) => whole)).toEqual([true, true, true]);
    expect(await late).toBeGreaterThan(Math.min(...ended.map(([, at]) => at)));
    expect(server.memory()).toEqual({ loads: { d: 1 }, busyEvictions: 0, copies: 0 });
    expect((await jsonOf(fetch(`${server.url}/api/ps`)))['models']).toHaveLength(3);
  });

  test('cuts a prompt without a word when it is told to, and reports what is left', async () => {
    const models = [{ id: 'sim-model', contextLength: 10 }];
    const server = await simulate({ kind: 'ollama', models, cutsLongPrompts: true });
    const reply = await jsonOf(chat(server, say(words(40))));
    expect(usageOf(reply)['prompt_tokens']).toBe(10);
  });
});

describe('a prompt that is too long', () => {
  const models = [{ id: 'sim-model', contextLength: 10 }];

  test('is refused by llama.cpp with both numbers', async () => {
    const server = await simulate({ kind: 'llama-cpp', models });
    const { error } = (await jsonOf(chat(server, say(words(40))))) as { error: Json };
    expect(error).toMatchObject({ type: 'exceed_context_size_error', n_prompt_tokens: 40, n_ctx: 10 });
  });

  test('is refused by LM Studio with an error that is a text', async () => {
    const server = await simulate({ kind: 'lm-studio', models });
    const { error } = await jsonOf(chat(server, say(words(40))));
    expect(error).toStartWith(
      'The number of tokens to keep from the initial prompt is greater than the context length',
    );
  });
});

describe('speeds', () => {
  test('prompts are read one after the other, whatever the number of slots', async () => {
    const server = await simulate({ kind: 'llama-cpp', slots: 4, prefillTokensPerSecond: 1_000 });
    const startedMs = performance.now();
    await Promise.all(Array.from({ length: 3 }, (_, at) => chat(server, say(words(60, `p${at}-`)))));
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(175);
  });

  test('a prompt goes to the slot that shares most with it, and only the rest is read', async () => {
    const server = await simulate({ kind: 'llama-cpp', slots: 2, prefixCache: true, prefillTokensPerSecond: 2_000 });
    await (await chat(server, say(words(100, 'a')))).text();
    await (await chat(server, say(words(100, 'b')))).text();
    const reply = await jsonOf(chat(server, say(`${words(100, 'a')} and more`)));
    expect(usageOf(reply)['prompt_tokens_details']).toEqual({ cached_tokens: 100 });
    expect(reply['timings']).toMatchObject({ cache_n: 100, prompt_n: 2 });
    // A third conversation takes the slot used longest ago.
    await (await chat(server, say(words(100, 'c')))).text();
    const again = await jsonOf(chat(server, say(`${words(100, 'b')} and more`)));
    expect(again['timings']).toMatchObject({ cache_n: 0 });
  });

  for (const kind of ['vllm', 'sglang', 'lm-studio', 'ollama'] as const) {
    test(`${kind} tells of cached tokens ${TELLING.includes(kind) ? 'when it is told to' : 'never'}`, async () => {
      const tells = TELLING.includes(kind);
      for (const reportsCachedTokens of [false, true]) {
        const server = await simulate({ kind, prefixCache: true, reportsCachedTokens });
        await (await chat(server, say(words(50)))).text();
        const usage = usageOf(await jsonOf(chat(server, say(`${words(50)} more`))));
        const details = usage['prompt_tokens_details'] as Json | null | undefined;
        expect(details?.['cached_tokens'] ?? 0).toBe(tells && reportsCachedTokens ? 50 : 0);
      }
    });
  }
});
