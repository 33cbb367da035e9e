import { afterEach, describe, expect, test } from 'bun:test';
import { callOf, failureOf, targetOf } from '../../test/contract/adapters-support.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { ProviderAdapter } from '../core/adapter.ts';
import { Cancellation } from '../core/cancellation.ts';
import { Secret } from '../core/secret.ts';
import { type AdapterKind, NOTHING_SAID, type Target, type TargetSnapshot } from '../core/target.ts';
import { systemClock } from '../system-clock.ts';
import { createAdapters } from './index.ts';
import { kindByName } from './model-kind.ts';

const adapters = createAdapters({ clock: systemClock });
const servers: { stop(force: boolean): unknown }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.stop(true);
});

type Reply = object | (() => Response);

/** A server that answers these paths, and others as `otherwise` says; its log holds `METHOD path?query`. */
function serve(
  paths: Readonly<Record<string, Reply>>,
  otherwise: () => Response = () => new Response('', { status: 404 }),
) {
  const log: { what: string; headers: Headers }[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      const { pathname, search } = new URL(request.url);
      log.push({ what: `${request.method} ${pathname}${search}`, headers: request.headers });
      const reply = paths[pathname];
      if (reply === undefined) return otherwise();
      return typeof reply === 'function' ? reply() : Response.json(reply);
    },
  });
  servers.push(server);
  return { url: `http://127.0.0.1:${server.port}`, log };
}

function probe(kind: AdapterKind, url: string, changes: Partial<Target> = {}): Promise<TargetSnapshot> {
  const adapter = adapters.get(kind);
  if (adapter === undefined) throw new Error(`no adapter for ${kind}`);
  return adapter.probe(targetOf(kind, url, changes), new AbortController().signal);
}

const list = (...ids: string[]) => ({ object: 'list', data: ids.map((id) => ({ id, object: 'model' })) });
const unexpected = (): Response => Response.json({ error: 'Unexpected endpoint or method. (GET /x)' });

describe('the probe of LM Studio', () => {
  const instance = (id: string, parallel: number, context_length: number) => ({
    id,
    config: { parallel, context_length },
  });
  const native = {
    models: [
      {
        type: 'llm',
        key: 'google/gemma',
        loaded_instances: [instance('google/gemma', 4, 4096), instance('google/gemma:2', 2, 8192)],
        max_context_length: 262144,
        variants: ['google/gemma@q4_k_m'],
      },
      { type: 'llm', key: 'qwen/qwen3', loaded_instances: [], max_context_length: 32768, quantization: null },
      {
        type: 'embedding',
        key: 'nomic',
        loaded_instances: [{ id: 'nomic', config: { context_length: 2048 } }],
        max_context_length: 2048,
      },
    ],
  };

  test('learns slots, context, instances and what is loaded', async () => {
    const snapshot = await probe('lm-studio', serve({ '/api/v1/models': native }).url);
    expect(snapshot.slots).toBe(6);
    expect(snapshot.models).toEqual([
      {
        ...NOTHING_SAID,
        id: 'google/gemma',
        alsoKnownAs: ['google/gemma:2', 'google/gemma@q4_k_m'],
        kind: 'chat',
        state: 'loaded',
        contextLength: 4096,
        slots: 6,
      },
      { ...NOTHING_SAID, id: 'qwen/qwen3', alsoKnownAs: [], kind: 'chat', state: 'on-disk', contextLength: 32768 },
      { ...NOTHING_SAID, id: 'nomic', alsoKnownAs: [], kind: 'embedding', state: 'loaded', contextLength: 2048 },
    ]);
  });

  test.each([
    ['a 200 with an error', unexpected],
    ['a 404', () => new Response('', { status: 404 })],
  ])('falls back to older listings when the server says %s to an unknown path', async (_name, otherwise) => {
    const older = {
      data: [
        { id: 'q', type: 'vlm', state: 'loaded', max_context_length: 9, loaded_context_length: 5 },
        { id: 'r', type: 'llm', state: 'not-loaded' },
        { id: 'e', type: 'embeddings', state: 'not-loaded' },
      ],
    };
    const v0 = await probe('lm-studio', serve({ '/api/v0/models': older }, otherwise).url);
    expect(v0.models.map(({ id, kind, state, contextLength }) => [id, kind, state, contextLength])).toEqual([
      ['q', 'chat', 'loaded', 5],
      ['r', 'chat', 'on-disk', null],
      ['e', 'embedding', 'on-disk', null],
    ]);
    const names = await probe('lm-studio', serve({ '/v1/models': list('a', 'text-embedding-b') }, otherwise).url);
    expect(names.models.map(({ id, kind }) => [id, kind])).toEqual([
      ['a', 'chat'],
      ['text-embedding-b', 'embedding'],
    ]);
  });

  test('learns what models can do, and how large they are', async () => {
    const capabilities = { vision: true, trained_for_tool_use: false, reasoning: { default: 'on' } };
    const model = { type: 'llm', key: 'g', loaded_instances: [], capabilities, size_bytes: 17_990_911_801 };
    const models = [
      { ...model, quantization: { name: 'Q4_K_M', bits_per_weight: 4 } },
      { key: 'odd', size_bytes: -1, capabilities: 'all' },
    ];
    const snapshot = await probe('lm-studio', serve({ '/api/v1/models': { models } }).url);
    expect(snapshot.models).toMatchObject([
      {
        // Not trained for tools is not unable.
        capabilities: { vision: true, tools: null, reasoning: true, jsonSchema: null },
        quantization: 'Q4_K_M',
        sizeBytes: 17_990_911_801,
      },
      { capabilities: NOTHING_SAID.capabilities, quantization: null, sizeBytes: null },
    ]);
  });

  test('takes a URL that ends in /v1 as the same server', async () => {
    const server = serve({ '/api/v1/models': native });
    expect((await probe('lm-studio', `${server.url}/v1/`)).models.length).toBe(3);
  });

  test('refuses a server that knows none of its paths', async () => {
    expect((await failureOf(probe('lm-studio', serve({}, unexpected).url))).kind).toBe('malformed');
  });
});

describe('the probe of Ollama', () => {
  const tags = {
    models: [
      { name: 'llama3.2:latest', model: 'llama3.2:latest', details: { family: 'llama' } },
      { name: 'nomic-embed-text:latest', model: 'nomic-embed-text:latest', details: { family: 'nomic-bert' } },
      { name: 'e:1', model: 'e:1', details: { family: 'gemma3' }, capabilities: ['embedding'] },
      {
        name: 'gpt-oss:120b-cloud',
        model: 'gpt-oss:120b-cloud',
        remote_host: 'https://ollama.com:443',
        remote_model: 'gpt-oss:120b',
      },
    ],
  };
  const ps = { models: [{ name: 'llama3.2:latest', model: 'llama3.2:latest', context_length: 4096 }] };

  test('tells loaded models, names, embedding models, and leaves out what runs in its cloud', async () => {
    const { url } = serve({ '/api/tags': tags, '/api/ps': ps, '/api/version': { version: '0.13.3' } });
    const snapshot = await probe('ollama', url);
    expect(snapshot.version).toBe('0.13.3');
    expect(
      snapshot.models.map(({ id, alsoKnownAs, kind, state, contextLength }) => [
        id,
        alsoKnownAs,
        kind,
        state,
        contextLength,
      ]),
    ).toEqual([
      ['llama3.2:latest', ['llama3.2'], 'chat', 'loaded', 4096],
      ['nomic-embed-text:latest', ['nomic-embed-text'], 'embedding', 'on-disk', null],
      ['e:1', [], 'embedding', 'on-disk', null],
    ]);
  });

  test('asks an older server once what each model can do, a few at a time', async () => {
    const names = Array.from({ length: 6 }, (_, at) => `m${at}`);
    const models = names.map((name) => ({ name, model: name, digest: `d-${name}` }));
    const show = () => Response.json({ capabilities: ['completion', 'vision'] });
    const server = serve({ '/api/tags': { models }, '/api/ps': ps, '/api/version': {}, '/api/show': show });
    const seeing = async () => {
      const { models: found } = await probe('ollama', server.url);
      return found.filter(({ capabilities }) => capabilities.vision === true).length;
    };
    expect([await seeing(), await seeing(), await seeing()]).toEqual([4, 6, 6]);
    expect(server.log.filter(({ what }) => what === 'POST /api/show').length).toBe(6);
  });

  test('does not ask again for a while where a model cannot be shown', async () => {
    const models = [{ name: 'm', model: 'm', digest: 'd' }];
    const server = serve({ '/api/tags': { models }, '/api/ps': { models: [] }, '/api/version': {} });
    for (let n = 0; n < 3; n++) {
      expect((await probe('ollama', server.url)).models[0]?.capabilities).toEqual(NOTHING_SAID.capabilities);
    }
    expect(server.log.filter(({ what }) => what === 'POST /api/show').length).toBe(1);
  });

  test('refuses another server', async () => {
    expect((await failureOf(probe('ollama', serve({ '/api/tags': { hello: 1 } }).url))).kind).toBe('malformed');
  });
});

describe('the probe of llama.cpp', () => {
  const props = { total_slots: 3, default_generation_settings: { n_ctx: 2048 }, build_info: 'b6000' };
  const models = {
    object: 'list',
    data: [{ id: '/models/smollm2.gguf', owned_by: 'llamacpp', meta: { n_ctx_train: 8192 } }],
  };

  test('learns slots, context and the names of its file', async () => {
    const snapshot = await probe(
      'llama-cpp',
      serve({ '/health': { status: 'ok' }, '/props': props, '/v1/models': models }).url,
    );
    expect(snapshot).toMatchObject({ slots: 3, version: 'b6000', warming: false });
    expect(snapshot.models).toEqual([
      {
        ...NOTHING_SAID,
        id: '/models/smollm2.gguf',
        alsoKnownAs: ['smollm2.gguf', 'smollm2'],
        kind: 'chat',
        state: 'loaded',
        contextLength: 2048,
      },
    ]);
  });

  test('sees a model that is loading as warming, not as down', async () => {
    const loading = () =>
      Response.json({ error: { code: 503, message: 'Loading model', type: 'unavailable_error' } }, { status: 503 });
    expect(await probe('llama-cpp', serve({}, loading).url)).toMatchObject({ warming: true, models: [] });
  });

  test('does not take any 503 for a loading model', async () => {
    const busy = () => new Response('Service Unavailable', { status: 503 });
    expect((await failureOf(probe('llama-cpp', serve({}, busy).url))).kind).toBe('overloaded');
  });

  test('reads the states of a router', async () => {
    const item = (id: string, status: object) => ({ id, owned_by: 'llamacpp', status });
    const data = [
      item('a', { value: 'loaded' }),
      item('b', { value: 'unloaded' }),
      item('c', { value: 'loading' }),
      item('d', { value: 'unloaded', failed: true }),
    ];
    const snapshot = await probe('llama-cpp', serve({ '/health': { status: 'ok' }, '/v1/models': { data } }).url);
    expect(snapshot.models.map(({ id, state }) => [id, state])).toEqual([
      ['a', 'loaded'],
      ['b', 'on-disk'],
      ['c', 'loading'],
    ]);
  });

  test('refuses something else on its port', async () => {
    const { url } = serve({ '/health': { status: 'ok' }, '/v1/models': list('gpt') });
    expect((await failureOf(probe('llama-cpp', url))).message).toContain('is something else on that address?');
  });
});

describe('the probes of vLLM and SGLang', () => {
  const owned = (owned_by: string) => ({
    data: [
      { id: 'm', owned_by, max_model_len: 4096 },
      { id: 'lora', owned_by, parent: 'm' },
    ],
  });

  test.each([
    ['vllm', { '/v1/models': owned('vllm'), '/version': { version: '0.32.0' } }, '0.32.0'],
    ['vllm', { '/v1/models': owned('vllm') }, null],
    ['sglang', { '/v1/models': owned('sglang') }, null],
    ['sglang', { '/v1/models': owned('me'), '/get_model_info': { model_path: '/m' } }, null],
  ] as const)('%s is known by its own signs', async (kind, paths, version) => {
    const snapshot = await probe(kind, serve(paths).url);
    expect(snapshot).toMatchObject({ version, slots: null });
    expect(snapshot.models.map(({ id, state, contextLength }) => [id, state, contextLength])).toEqual([
      ['m', 'loaded', 4096],
      ['lora', 'loaded', null],
    ]);
  });

  test.each(['vllm', 'sglang'] as const)('%s is not taken for granted', async (kind) => {
    expect((await failureOf(probe(kind, serve({ '/v1/models': owned('someone') }).url))).kind).toBe('malformed');
  });
});

describe('how busy a server says it is', () => {
  const page = (text: string) => () => new Response(text);

  test('is read from the metrics of vLLM and SGLang, by newer and older names', async () => {
    const metrics = page(
      'vllm:num_requests_running{a="b"} 3\nvllm:num_requests_waiting 2\nvllm:gpu_cache_usage_perc 0.5\n',
    );
    const vllm = await probe(
      'vllm',
      serve({ '/v1/models': list('m'), '/version': { version: '1' }, '/metrics': metrics }).url,
    );
    expect(vllm.load).toEqual({ running: 3, waiting: 2, cacheUsage: 0.5 });
    const sglang = await probe(
      'sglang',
      serve({
        '/v1/models': list('m'),
        '/get_model_info': { model_path: 'm' },
        '/metrics': page('sglang:num_running_reqs 1\nsglang:num_queue_reqs 0\nsglang:token_usage 7\n'),
      }).url,
    );
    // A share above all of it is not believed.
    expect(sglang.load).toEqual({ running: 1, waiting: 0, cacheUsage: null });
  });

  test('is counted in the slots of llama.cpp, or read from its metrics when they are switched on', async () => {
    const base = { '/health': {}, '/props': { total_slots: 2 }, '/v1/models': list('m') };
    const slots = [
      { id: 0, is_processing: true },
      { id: 1, is_processing: false },
    ];
    const counted = await probe('llama-cpp', serve({ ...base, '/slots': slots }).url);
    expect(counted.load).toEqual({ running: 1, waiting: 0, cacheUsage: null });
    const metrics = page('llamacpp:requests_processing 2\nllamacpp:requests_deferred 5\n');
    const told = await probe('llama-cpp', serve({ ...base, '/slots': slots, '/metrics': metrics }).url);
    expect(told.load).toEqual({ running: 2, waiting: 5, cacheUsage: null });
  });

  test('is not asked for where the question would wake a llama.cpp server that sleeps when idle', async () => {
    for (const sleeping of [true, false]) {
      const props = { total_slots: 2, is_sleeping: sleeping };
      const server = serve({ '/health': {}, '/props': props, '/v1/models': list('m'), '/slots': [] });
      const { models } = await probe('llama-cpp', server.url);
      expect(models.map(({ state }) => state)).toEqual([sleeping ? 'on-disk' : 'loaded']);
      // Its build is not known, and some take the question for metrics as use too.
      const exempt = ['GET /health', 'GET /props', 'GET /v1/models'];
      expect(server.log.map(({ what }) => what).sort()).toEqual(exempt);
    }
  });

  test('is asked for again soon where the server was only slow or broken', async () => {
    const clock = new ManualClock();
    const adapter = createAdapters({ clock }).get('vllm') as ProviderAdapter;
    let healthy = false;
    const server = serve({
      '/v1/models': list('m'),
      '/version': { version: '1' },
      '/metrics': () => (healthy ? page('vllm:num_requests_running 3\n')() : new Response('', { status: 500 })),
    });
    const running = async () =>
      (await adapter.probe(targetOf('vllm', server.url), new AbortController().signal)).load?.running ?? null;
    expect(await running()).toBeNull();
    healthy = true;
    expect(await running()).toBeNull();
    await clock.advance(60_000);
    expect(await running()).toBe(3);
  });

  test('is asked for once where it is switched off, and absurd numbers are not believed', async () => {
    const server = serve({ '/v1/models': list('m'), '/version': { version: '1' } });
    for (let n = 0; n < 3; n++) expect((await probe('vllm', server.url)).load).toBeNull();
    expect(server.log.filter(({ what }) => what.includes('/metrics')).length).toBe(1);
    const absurd = serve({
      '/v1/models': list('m'),
      '/version': { version: '1' },
      '/metrics': page('vllm:num_requests_running 1e30\n'),
    });
    expect((await probe('vllm', absurd.url)).load).toBeNull();
  });
});

describe('a node that lies', () => {
  test('about names is believed as far as they are names', async () => {
    const names = list('good', 'x'.repeat(600), 'line\nbreak', '\u001b[31mred');
    const snapshot = await probe('openai-compatible', serve({ '/models': names }).url);
    expect(snapshot.models.map(({ id }) => id)).toEqual(['good']);
  });

  test('with a list of 50 MB, or one nested a hundred thousand deep, fails its probe and costs no more than that', async () => {
    const huge = () => new Response(`{"data":[${'{"id":"m"},'.repeat(5_000_000)}{}]}`);
    const failure = await failureOf(probe('openai-compatible', serve({ '/models': huge }).url));
    expect(failure.message).toContain('8388608');
    const deep = () => new Response(`{"data":${'['.repeat(100_000)}${']'.repeat(100_000)}}`);
    expect((await failureOf(probe('openai-compatible', serve({ '/models': deep }).url))).kind).toBe('malformed');
  });
});

describe('the probes of clouds', () => {
  test('OpenRouter says what its models can do and cost, to the last digit', async () => {
    const data = [
      {
        id: 'openai/gpt-4o-mini',
        architecture: { input_modalities: ['text', 'image'] },
        supported_parameters: ['tools', 'structured_outputs'],
        pricing: {
          prompt: '0.0000001505',
          completion: '0.0000006',
          input_cache_read: '0.000000075',
          request: '0.001',
          image: '0.003613',
        },
      },
      {
        id: 'x/thinker',
        pricing: {
          prompt: '0.000001',
          completion: '0.000002',
          internal_reasoning: '0',
          input_cache_read: '0',
          request: '0',
        },
      },
      { id: 'x/gift', pricing: { prompt: '0', completion: '0' } },
      { id: 'x/odd', pricing: { prompt: 'ask', completion: '0.1' } },
      { id: 'openrouter/auto', pricing: { prompt: '-1', completion: '-1' } },
    ];
    const snapshot = await probe('openrouter', serve({ '/models': { data }, '/key': {} }).url);
    expect(snapshot.models).toMatchObject([
      {
        capabilities: { vision: true, tools: true, reasoning: false, jsonSchema: true },
        price: {
          rates: { input: 150_500_000, cachedInput: 75_000_000, audioInput: 150_500_000, output: 600_000_000 },
          callNanoUsd: 1_000_000,
          pictureNanoUsd: 3_613_000,
          source: 'listed',
        },
      },
      {
        price: {
          rates: { input: 1e9, cachedInput: 1e9, output: 2e9, reasoning: 2e9 },
          callNanoUsd: 0,
        },
      },
      { price: { rates: { input: 0, output: 0, reasoning: 0 } } },
      { price: null },
      { price: null },
    ]);
  });

  test('OpenRouter tries the key where it costs nothing, and knows what its models put out', async () => {
    const models = {
      data: [
        { id: 'openai/gpt-4o-mini', context_length: 128000, architecture: { output_modalities: ['text'] } },
        { id: 'x/painter', architecture: { output_modalities: ['image'] } },
      ],
    };
    const good = serve({ '/models': models, '/key': { data: {} } });
    const snapshot = await probe('openrouter', good.url, { apiKey: new Secret('sk-or-1') });
    expect(snapshot.models.map(({ id, kind, contextLength }) => [id, kind, contextLength])).toEqual([
      ['openai/gpt-4o-mini', 'chat', 128000],
      ['x/painter', 'other', null],
      ['openrouter/auto', 'chat', null],
    ]);
    expect(good.log[0]?.headers.get('x-openrouter-title')).toBe('SwarmRouter');
    const refused = serve({
      '/models': models,
      '/key': () => Response.json({ error: { code: 401, message: 'No auth' } }, { status: 401 }),
    });
    expect((await failureOf(probe('openrouter', refused.url))).kind).toBe('badCredentials');
  });

  test.each([
    [null, '/openai/v1/models', 'GET /openai/v1/models'],
    ['2024-10-21', '/openai/models', 'GET /openai/models?api-version=2024-10-21'],
  ])('Azure (api-version %p) names the deployments it was told of', async (apiVersion, path, what) => {
    const server = serve({ [path]: list('gpt-4o', 'whisper') });
    const deployments = new Map([['gpt-4o', 'prod-4o']]);
    const changes = { apiVersion, deployments, defaultModel: 'fallback', apiKey: new Secret('azure-key') };
    const snapshot = await probe('azure-openai', `${server.url}/openai/v1/`, changes);
    expect(snapshot.models.map(({ id }) => id)).toEqual(['gpt-4o', 'fallback']);
    expect(snapshot.listsEverything).toBe(false);
    expect(server.log.map((entry) => entry.what)).toEqual([what]);
    expect(server.log[0]?.headers.get('api-key')).toBe('azure-key');
  });

  test.each([
    [null, 'POST /openai/v1/chat/completions'],
    ['2024-10-21', 'POST /openai/deployments/prod%204o/chat/completions?api-version=2024-10-21'],
  ])('Azure (api-version %p) is asked at its own URL form', async (apiVersion, what) => {
    const server = serve({});
    const target = targetOf('azure-openai', server.url, { apiVersion });
    const call = adapters.get('azure-openai')?.call(callOf(target, {}, { model: 'prod 4o' }), new Cancellation());
    expect((await failureOf(call ?? Promise.resolve())).status).toBe(404);
    expect(server.log.map((entry) => entry.what)).toEqual([what]);
  });

  test('of a list that is too long the rest counts as models that are not listed, and people are told', async () => {
    const names = Array.from({ length: 10_001 }, (_, at) => `m${at}`);
    const snapshot = await probe('openai-compatible', serve({ '/models': list(...names) }).url);
    expect([snapshot.models.length, snapshot.listsEverything]).toEqual([10_000, false]);
    expect(snapshot.notes).toEqual(['it lists 10,001 models; only the first 10,000 are known here']);
    const fitting = await probe('openai-compatible', serve({ '/models': list(...names.slice(1)) }).url);
    expect([fitting.models.length, fitting.listsEverything, fitting.notes]).toEqual([10_000, true, []]);
  });

  test('a compatible server without a list is up', async () => {
    expect(await probe('openai-compatible', serve({}).url)).toMatchObject({ models: [], listsEverything: false });
  });

  test('a listing that never ends is given up', async () => {
    const endless = () => new Response('x'.repeat(9 * 1024 * 1024));
    expect((await failureOf(probe('openai-compatible', serve({ '/models': endless }).url))).message).toContain(
      'more than 8388608 bytes',
    );
  });

  test.each([[[]], [{ data: 7 }], [{ data: [7, null, { id: 5 }, { id: '' }] }], ['x'], [null]])(
    'a lying list (%j) does no harm',
    async (body) => {
      const lies = () => Response.json(body);
      const result = await probe('openai-compatible', serve({ '/models': lies }).url).catch((error) => error.kind);
      if (typeof result === 'string') expect(result).toBe('malformed');
      else expect(result.models).toEqual([]);
    },
  );
});

test.each([
  ['text-embedding-3-small', 'embedding'],
  ['nomic-embed-text-v1.5', 'embedding'],
  ['BAAI/bge-m3', 'embedding'],
  ['intfloat/e5-large-v2', 'embedding'],
  ['mxbai-embed-large', 'embedding'],
  ['all-minilm:l6-v2', 'embedding'],
  ['bge-reranker-v2-m3', 'other'],
  ['whisper-1', 'other'],
  ['tts-1-hd', 'other'],
  ['gpt-4o', 'chat'],
  ['qwen2.5-7b-instruct', 'chat'],
  ['google/gemma-3-4b', 'chat'],
  ['mistral-large', 'chat'],
])('by its name %s is for %s', (id, kind) => {
  expect(kindByName(id)).toBe(kind as never);
});
