import { describe, expect, test } from 'bun:test';
import { ADAPTER_KINDS } from '../src/core/target.ts';
import {
  assemble,
  chat,
  chunksOf,
  comparable,
  type Json,
  jsonOf,
  simulate,
  stopSimulatorsAfterEach,
} from './test-support.ts';

stopSimulatorsAfterEach();

const WEATHER_TOOL = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 2 } },
      required: ['city', 'days'],
    },
  },
};

function say(content: unknown): { messages: object[] } {
  return { messages: [{ role: 'user', content }] };
}

const REQUESTS: Record<string, object> = {
  'plain text': say('hello there'),
  reasoning: say('think about canary:k-1'),
  'a tool call': { ...say('please use tool'), tools: [WEATHER_TOOL] },
  'a token limit': { ...say('hello there'), max_tokens: 3 },
  'a JSON schema': {
    ...say('give me JSON'),
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'x', schema: { type: 'object', properties: { a: { enum: ['one'] } }, required: ['a'] } },
    },
  },
  'an image': say([
    { type: 'text', text: 'look' },
    { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
  ]),
};

for (const kind of ADAPTER_KINDS) {
  describe(kind, () => {
    for (const [name, body] of Object.entries(REQUESTS)) {
      test(`streams the same reply that it gives whole: ${name}`, async () => {
        const simulator = await simulate({ kind });
        const whole = await jsonOf(chat(simulator, body));
        const streamed = await chat(simulator, { ...body, stream: true, stream_options: { include_usage: true } });
        const sse = await streamed.text();
        expect(sse.endsWith('data: [DONE]\n\n')).toBe(true);
        expect(assemble(chunksOf(sse))).toEqual(comparable(whole));
      });
    }

    test('reports usage in a stream only as its wire does', async () => {
      const simulator = await simulate({ kind });
      const sse = await (await chat(simulator, { stream: true })).text();
      expect(chunksOf(sse).some((chunk) => 'usage' in chunk)).toBe(kind === 'openrouter');
    });

    test('refuses a missing key and takes the right one', async () => {
      const simulator = await simulate({ kind, apiKey: 'secret-key' });
      expect((await chat(simulator, {})).status).toBe(401);
      const headers: Record<string, string> =
        kind === 'azure-openai' ? { 'api-key': 'secret-key' } : { authorization: 'Bearer secret-key' };
      expect((await chat(simulator, {}, { headers })).status).toBe(200);
    });

    test('answers a whole reply with a content-length', async () => {
      const simulator = await simulate({ kind });
      const response = await chat(simulator, {});
      expect(Number(response.headers.get('content-length'))).toBe((await response.arrayBuffer()).byteLength);
    });

    test('refuses a prompt that is longer than the context', async () => {
      const simulator = await simulate({ kind, models: [{ id: 'sim-model', contextLength: 4 }] });
      const response = await chat(simulator, say('one two three four five six'));
      expect(response.status).toBe(400);
      expect(await response.text()).toMatch(/context/);
    });
  });
}

describe('LM Studio', () => {
  test('answers an unknown path with status 200 and an error', async () => {
    const { url } = await simulate({ kind: 'lm-studio' });
    const response = await fetch(`${url}/chat/completions`, { method: 'POST', body: '{}' });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ error: 'Unexpected endpoint or method. (POST /chat/completions)' });
  });

  test('loads a model when it is named, and puts out the one that it loaded before', async () => {
    const models = [
      { id: 'kept' },
      { id: 'first', state: 'on-disk' as const },
      { id: 'second', state: 'on-disk' as const },
    ];
    const simulator = await simulate({ kind: 'lm-studio', models, loadMs: 1 });
    const loaded = async (): Promise<unknown[]> => {
      const list = await jsonOf(fetch(`${simulator.url}/api/v1/models`));
      return (list['models'] as Json[])
        .filter((model) => (model['loaded_instances'] as []).length > 0)
        .map((model) => model['key']);
    };
    await (await chat(simulator, { model: 'first' })).text();
    expect(await loaded()).toEqual(['kept', 'first']);
    await (await chat(simulator, { model: 'second' })).text();
    expect(await loaded()).toEqual(['kept', 'second']);
  });

  test('keeps requests over its slots waiting in silence', async () => {
    const simulator = await simulate({ kind: 'lm-studio', slots: 1, replyTokens: 3, tokensPerSecond: 100 });
    const replies = await Promise.all(Array.from({ length: 4 }, () => chat(simulator, {})));
    expect(replies.map((reply) => reply.status)).toEqual([200, 200, 200, 200]);
    expect(simulator.peakActive()).toBe(4);
    const [first, second] = [...simulator.log].map((entry) => entry.endedAtMs ?? 0).sort((a, b) => a - b);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThan(15);
  });

  test('says that no model is loaded when loading on demand is off', async () => {
    const simulator = await simulate({
      kind: 'lm-studio',
      jitLoading: false,
      models: [{ id: 'sim-model', state: 'on-disk' }],
    });
    const response = await chat(simulator, {});
    expect(response.status).toBe(400);
    expect(await response.text()).toContain('No models loaded');
  });
});

describe('Ollama', () => {
  test('lists what is pulled and what is loaded apart', async () => {
    const simulator = await simulate({ kind: 'ollama', models: [{ id: 'a:latest', state: 'on-disk' }], loadMs: 1 });
    const names = async (path: string): Promise<unknown[]> =>
      ((await jsonOf(fetch(`${simulator.url}${path}`)))['models'] as Json[]).map((model) => model['name']);
    expect(await names('/api/tags')).toEqual(['a:latest']);
    expect(await names('/api/ps')).toEqual([]);
    await (await chat(simulator, { model: 'a' })).text();
    expect(await names('/api/ps')).toEqual(['a:latest']);
    const missing = await chat(simulator, { model: 'b' });
    expect(missing.status).toBe(404);
    expect(await missing.text()).toContain('try pulling it first');
  });
});

describe('llama.cpp', () => {
  test('says 503 while it loads, and 503 on a question for a free slot when there is none', async () => {
    const simulator = await simulate({ kind: 'llama-cpp', loading: true, slots: 1, firstTokenMs: 60_000 });
    expect((await fetch(`${simulator.url}/health`)).status).toBe(503);
    simulator.setBehaviour({ loading: false });
    expect((await fetch(`${simulator.url}/slots?fail_on_no_slot=1`)).status).toBe(200);
    const leave = new AbortController();
    const running = chat(simulator, {}, { signal: leave.signal }).catch(() => 'left');
    while (simulator.active() === 0) await Bun.sleep(1);
    expect((await fetch(`${simulator.url}/slots?fail_on_no_slot=1`)).status).toBe(503);
    leave.abort();
    expect(await running).toBe('left');
    while (simulator.active() > 0) await Bun.sleep(1);
    expect((await fetch(`${simulator.url}/slots?fail_on_no_slot=1`)).status).toBe(200);
    expect((await jsonOf(fetch(`${simulator.url}/props`)))['total_slots']).toBe(1);
  });
});

describe('Azure OpenAI', () => {
  test('takes both URL forms and names the model under the deployment', async () => {
    const { url } = await simulate({ kind: 'azure-openai', models: [{ id: 'chat-prod', underlyingModel: 'gpt-4o' }] });
    const post = (path: string, body: object): Promise<Json> =>
      jsonOf(fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify({ messages: [], ...body }) }));
    const classic = await post('/openai/deployments/chat-prod/chat/completions?api-version=2024-10-21', {});
    const current = await post('/openai/v1/chat/completions', { model: 'chat-prod' });
    expect([classic['model'], current['model']]).toEqual(['gpt-4o', 'gpt-4o']);
    const missing = await post('/openai/v1/chat/completions', { model: 'gpt-4o' });
    expect(missing['error']).toMatchObject({ code: 'DeploymentNotFound' });
  });

  test('opens a stream without a choice and ends it with a choice without a delta', async () => {
    const simulator = await simulate({ kind: 'azure-openai' });
    const chunks = chunksOf(await (await chat(simulator, { stream: true })).text());
    expect(chunks[0]).toMatchObject({ id: '', model: '', choices: [] });
    const [last] = chunks.slice(-1).flatMap((chunk) => chunk['choices'] as Json[]);
    expect(last).toHaveProperty('content_filter_offsets');
    expect(last).not.toHaveProperty('delta');
  });
});

test('OpenRouter sends comments first, and the cost of every reply', async () => {
  const simulator = await simulate({ kind: 'openrouter' });
  const streamed = await chat(simulator, { stream: true });
  expect(streamed.headers.get('x-generation-id')).toMatch(/^gen-/);
  const sse = await streamed.text();
  expect(sse.startsWith(': OPENROUTER PROCESSING\n\n')).toBe(true);
  const { usage } = chunksOf(sse).at(-1) as { usage: Json };
  expect(usage['cost']).toBeGreaterThan(0);
});

test('vLLM and SGLang can be told apart by their fingerprints', async () => {
  const vllm = await simulate({ kind: 'vllm' });
  const sglang = await simulate({ kind: 'sglang' });
  expect(await jsonOf(fetch(`${vllm.url}/v1/models`))).toMatchObject({
    data: [{ owned_by: 'vllm', max_model_len: 8192 }],
  });
  expect((await fetch(`${vllm.url}/get_model_info`)).status).toBe(404);
  expect(await jsonOf(fetch(`${sglang.url}/get_model_info`))).toMatchObject({ is_generation: true });
  expect((await fetch(`${sglang.url}/version`)).status).toBe(404);
});

test('text completions and embeddings are served, base64 where the wire knows it', async () => {
  const openai = await simulate({ kind: 'openai-compatible' });
  const studio = await simulate({ kind: 'lm-studio' });
  const post = (url: string, body: object): Promise<Json> =>
    jsonOf(fetch(url, { method: 'POST', body: JSON.stringify(body) }));
  const text = await post(`${openai.url}/v1/completions`, { model: 'sim-model', prompt: 'canary:z9', max_tokens: 1 });
  expect(text['choices']).toEqual([{ index: 0, text: 'canary:z9 ', logprobs: null, finish_reason: 'length' }]);
  const question = { model: 'sim-model', input: ['a', 'b'], encoding_format: 'base64' };
  const encoded = (await post(`${openai.url}/v1/embeddings`, question))['data'] as Json[];
  const floats = (await post(`${studio.url}/v1/embeddings`, question))['data'] as Json[];
  const decoded = encoded.map(({ embedding }) => [
    ...new Float32Array(Uint8Array.from(Buffer.from(String(embedding), 'base64')).buffer),
  ]);
  expect(floats.map(({ embedding }) => embedding)).toEqual(decoded);
});

test('stop words end the reply before them, and n gives as many choices', async () => {
  const simulator = await simulate({ kind: 'openai-compatible', reply: 'one two three', replyTokens: 3 });
  const reply = await jsonOf(chat(simulator, { stop: ['three'], n: 2 }));
  const choices = reply['choices'] as { message: Json; finish_reason: string }[];
  expect(choices.map(({ message, finish_reason }) => [message['content'], finish_reason])).toEqual([
    ['one two ', 'stop'],
    ['one two ', 'stop'],
  ]);
});
