import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { until } from '../support/gateway.ts';
import { type GatewayProcess, startGatewayProcess } from './gateway-process.ts';
import type { LlamaServerProgram } from './llama-cpp/program.ts';
import { weatherAsked, weatherTool } from './llama-cpp/recorded-requests.ts';
import { DEFAULT_ALIAS, type LlamaServer, launchLlamaServer, startLlamaServer } from './llama-cpp/start.ts';
import { type CallEnd, runLoad } from './load.ts';

// Given by run.ts, which installs the server and the model first.
const program: LlamaServerProgram = JSON.parse(process.env['SWARMROUTER_E2E_PROGRAM'] ?? 'null');
const STARTING_MS = 120_000;
const CALL_MS = 60_000;
const FIRST = 'llamacpp';
const SECOND = 'llamacpp-2';

let servers: LlamaServer[] = [];
let gateway: GatewayProcess;
let client: OpenAI;

const ask = (content: string) => [{ role: 'user' as const, content }];

beforeAll(async () => {
  if (program === null) throw new Error('run this suite with `npm run test:e2e`, which installs the server first');
  // One after the other: two models that load at once on two cores take longer than in turn.
  for (let number = 0; number < 2; number++)
    servers.push(await startLlamaServer({ program, slots: 2, withTools: true }));
  gateway = await startGatewayProcess({
    LLAMACPP_URL: servers.map((server) => server.url).join(','),
    SWARMROUTER_PROBE_INTERVAL: '0.2',
    SWARMROUTER_RETRY_DELAY: '0.2',
    SWARMROUTER_LOG_LEVEL: 'WARN',
    SWARMROUTER_CONFIG: routesFile(),
  });
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'anything', maxRetries: 0, timeout: CALL_MS });
}, STARTING_MS);

afterAll(async () => {
  await gateway?.stop();
  await Promise.all(servers.map((server) => server.stop()));
});

/** A route whose broken answers are continued. */
function routesFile(): string {
  const path = join(mkdtempSync(join(tmpdir(), 'swarmrouter-e2e-routes-')), 'swarmrouter.yaml');
  writeFileSync(path, 'routes:\n  sturdy:\n    stream_recovery: continue\n');
  return path;
}

/** On a connection of its own: a kept-alive one would hold one of the server's few threads. */
function lookAt(url: string): Promise<Response> {
  return fetch(url, { headers: { connection: 'close' }, signal: AbortSignal.timeout(10_000) });
}

async function isIdle(server: LlamaServer): Promise<boolean> {
  const slots: { is_processing: boolean }[] = await (await lookAt(`${server.url}/slots`)).json();
  return slots.length > 0 && slots.every((slot) => !slot.is_processing);
}

const allIdle = async (): Promise<boolean> => (await Promise.all(servers.map(isIdle))).every(Boolean);

/** Replaces a server that is gone by a new one on the same port. */
function restart(index: number): LlamaServer {
  const port = servers[index]?.port;
  if (port === undefined) throw new Error(`there is no server ${index}`);
  const server = launchLlamaServer({ program, slots: 2, withTools: true, port });
  servers = servers.with(index, server);
  return server;
}

describe('the official client talks to real llama.cpp servers through the gateway', () => {
  test(
    'a whole reply, its usage, and the truth about who answered',
    async () => {
      const { data, response } = await client.chat.completions
        .create({
          model: DEFAULT_ALIAS,
          messages: ask('What is the capital of France?'),
          max_tokens: 24,
          temperature: 0,
        })
        .withResponse();
      expect(data.choices[0]?.message.content).toContain('Paris');
      expect(data.model).toBe(DEFAULT_ALIAS);
      expect(data.usage).toMatchObject({ completion_tokens: expect.any(Number), prompt_tokens: expect.any(Number) });
      const headers = Object.fromEntries(response.headers);
      expect(headers).toMatchObject({
        'x-swarmrouter-provider': 'llama-cpp',
        'x-swarmrouter-place': 'local',
        'x-swarmrouter-model': DEFAULT_ALIAS,
        'x-swarmrouter-attempts': '1',
      });
      expect([FIRST, SECOND]).toContain(headers['x-swarmrouter-target'] ?? '');
    },
    CALL_MS,
  );

  test(
    'a streamed reply equals the whole one, and brings the usage when asked',
    async () => {
      const body = {
        model: DEFAULT_ALIAS,
        messages: ask('Name three colours.'),
        max_tokens: 24,
        temperature: 0,
        seed: 7,
      };
      const whole = await client.chat.completions.create(body);
      const stream = await client.chat.completions.create({
        ...body,
        stream: true,
        stream_options: { include_usage: true },
      });
      const chunks = await Array.fromAsync(stream);
      const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
      expect(text).toBe(whole.choices[0]?.message.content ?? '');
      expect(chunks.at(-1)?.usage?.completion_tokens).toBe(whole.usage?.completion_tokens ?? -1);
    },
    CALL_MS,
  );

  test(
    'a whole reply through the gateway has every field of the server’s own',
    async () => {
      const body = JSON.stringify({
        ...{ model: DEFAULT_ALIAS, messages: ask('Say hello.'), max_tokens: 12, temperature: 0, seed: 7 },
        cache_prompt: false,
      });
      const headers = { 'content-type': 'application/json', connection: 'close' };
      const post = async (base: string): Promise<Record<string, unknown>> =>
        (await fetch(`${base}/v1/chat/completions`, { method: 'POST', headers, body })).json();
      const [own, routed] = [await post(servers[0]?.url ?? ''), await post(gateway.url)];
      expect(Object.keys(routed).sort()).toEqual(Object.keys(own).sort());
      for (const field of ['choices', 'usage', 'model', 'object', 'system_fingerprint']) {
        expect(routed[field]).toEqual(own[field]);
      }
    },
    CALL_MS,
  );

  test('the model list has the model that the servers have loaded', async () => {
    const ids = (await Array.fromAsync(client.models.list())).map((model) => model.id);
    expect(ids).toContain(DEFAULT_ALIAS);
  });

  test(
    'a name that no target has is answered by the loaded model, which says its own name',
    async () => {
      const reply = await client.chat.completions.create({ model: 'gpt-4o-mini', messages: ask('Hi'), max_tokens: 4 });
      expect(reply.model).toBe(DEFAULT_ALIAS);
    },
    CALL_MS,
  );

  test(
    'JSON by a schema parses and has the fields',
    async () => {
      const schema = {
        type: 'object',
        properties: { city: { type: 'string', maxLength: 20 }, people: { type: 'integer', maximum: 1e9 } },
        required: ['city', 'people'],
        additionalProperties: false,
      };
      const reply = await client.chat.completions.create({
        model: DEFAULT_ALIAS,
        messages: ask('Name one city and how many people live there.'),
        response_format: { type: 'json_schema', json_schema: { name: 'city', strict: true, schema } },
        temperature: 0,
        max_tokens: 96,
      });
      expect(JSON.parse(reply.choices[0]?.message.content ?? '')).toEqual({
        city: expect.any(String),
        people: expect.any(Number),
      });
    },
    CALL_MS,
  );

  for (const streamed of [false, true]) {
    test(
      `a tool call, ${streamed ? 'streamed' : 'whole'}, has arguments that parse`,
      async () => {
        const messages = [
          ...weatherAsked('call_1', 'Paris', '12 C'),
          ...weatherAsked('call_2', 'Rome', '20 C'),
          ...ask('Weather in Oslo?'),
        ] as OpenAI.Chat.ChatCompletionMessageParam[];
        const body = {
          ...{ model: DEFAULT_ALIAS, messages, temperature: 0, max_tokens: 96 },
          tools: [weatherTool as OpenAI.Chat.ChatCompletionTool],
          tool_choice: 'required' as const,
        };
        const reply = streamed
          ? await client.chat.completions.stream(body).finalChatCompletion()
          : await client.chat.completions.create(body);
        const call = reply.choices[0]?.message.tool_calls?.[0];
        if (call?.type !== 'function') throw new Error(`no tool call in ${JSON.stringify(reply.choices)}`);
        expect(call.function.name).toBe('get_weather');
        expect(JSON.parse(call.function.arguments)).toEqual({ city: 'Oslo' });
        expect(reply.choices[0]?.finish_reason).toBe('tool_calls');
      },
      CALL_MS,
    );
  }

  test(
    'a request that the server refuses is the client’s own mistake',
    async () => {
      const tooLong = ask('word '.repeat(6_000));
      const error = await client.chat.completions
        .create({ model: DEFAULT_ALIAS, messages: tooLong, max_tokens: 4 })
        .catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(OpenAI.BadRequestError);
      expect((error as InstanceType<typeof OpenAI.APIError>).code).toBe('context_length_exceeded');
    },
    CALL_MS,
  );

  for (const stream of [true, false]) {
    test(
      `an aborted ${stream ? 'stream' : 'whole call'} frees the server's slot`,
      async () => {
        await until('the servers are idle before', allIdle, 10_000);
        const abort = new AbortController();
        const call = client.chat.completions
          .create(
            { model: DEFAULT_ALIAS, messages: ask('Tell a long story.'), max_tokens: 1_500, stream },
            { signal: abort.signal },
          )
          .then(async (reply) => {
            if (Symbol.asyncIterator in reply) for await (const chunk of reply) expect(chunk.choices).toBeDefined();
          })
          .catch((error: unknown) => error);
        await until('a server works on it', async () => !(await allIdle()), 20_000);
        abort.abort();
        await call;
        await until('both servers are idle again', allIdle, 10_000);
      },
      CALL_MS,
    );
  }
});

describe('with stream recovery', () => {
  const question = {
    model: DEFAULT_ALIAS,
    messages: ask('Tell a long story about a bee and a bear.'),
    max_tokens: 120,
    temperature: 0,
  };

  test(
    'the other real server goes on with the text of one that was killed, and the answer is the one that nobody broke',
    async () => {
      await until('the servers are idle before', allIdle, 10_000);
      const whole = await client.chat.completions.create(question);
      const route = { headers: { 'x-swarmrouter-route': 'sturdy' } };
      const { data: stream, response } = await client.chat.completions
        .create({ ...question, stream: true, stream_options: { include_usage: true } }, route)
        .withResponse();
      const index = response.headers.get('x-swarmrouter-target') === FIRST ? 0 : 1;
      const ids = new Set<string>();
      let answer = '';
      let finish: string | null = null;
      let usage: OpenAI.CompletionUsage | null = null;
      let killed = false;
      for await (const chunk of stream) {
        ids.add(chunk.id);
        answer += chunk.choices[0]?.delta.content ?? '';
        finish = chunk.choices[0]?.finish_reason ?? finish;
        usage = chunk.usage ?? usage;
        if (!killed && answer.length > 60) {
          killed = true;
          await servers[index]?.kill();
        }
      }
      expect([killed, ids.size, finish]).toEqual([true, 1, whole.choices[0]?.finish_reason ?? '']);
      expect(answer).toBe(whole.choices[0]?.message.content ?? '');
      expect(usage?.completion_tokens).toBe(whole.usage?.completion_tokens ?? -1);
      const text = await (await lookAt(`${gateway.url}/metrics`)).text();
      expect(text).toMatch(
        /swarmrouter_attempts_total\{target="llamacpp(-2)?",provider="llama-cpp",result="error"\} 1/,
      );
      await restart(index).ready;
    },
    2 * CALL_MS,
  );
});

describe('when a real server is killed under load', () => {
  const MAX_TOKENS = 48;
  let ends: CallEnd[] = [];

  beforeAll(async () => {
    let kill: Promise<void> | null = null;
    ends = await runLoad(client, {
      calls: 40,
      concurrency: 4,
      maxTokens: MAX_TOKENS,
      onContent: (target, done) => {
        if (kill === null && done >= 8 && target === FIRST) kill = servers[0]?.kill() ?? null;
      },
    });
    await kill;
    expect(kill).not.toBeNull();
  }, 240_000);

  test('every call that had not begun to stream is answered', () => {
    const failed = ends.filter((end) => !end.begun && !end.answered);
    expect(failed.map((end) => String(end.error))).toEqual([]);
    expect(ends).toHaveLength(40);
  });

  test('a stream that had begun ends with a typed error, never silently', () => {
    const cut = ends.filter((end) => end.begun && !end.answered);
    expect(cut.length).toBeGreaterThan(0);
    for (const end of cut) {
      expect(end).toMatchObject({ streamed: true, target: FIRST });
      expect(end.error).toBeInstanceOf(OpenAI.APIError);
      expect((end.error as InstanceType<typeof OpenAI.APIError>).code).toStartWith('upstream_');
    }
  });

  test('no reply is both finished and an error', () => {
    expect(ends.filter((end) => end.answered && end.error !== null)).toEqual([]);
  });

  test(
    'after its restart it is used again, without a restart of the gateway',
    async () => {
      await restart(0).ready;
      const used = new Set<string | null>();
      await until(
        'both servers answer',
        async () => {
          const some = await runLoad(client, { calls: 4, concurrency: 4, maxTokens: 4 });
          expect(some.filter((end) => !end.answered)).toEqual([]);
          for (const end of some) used.add(end.target);
          return used.has(FIRST) && used.has(SECOND);
        },
        30_000,
      );
    },
    CALL_MS,
  );

  test(
    'a request that meets a server which is still loading its model waits for it',
    async () => {
      await servers[1]?.kill();
      let seen = '';
      // The model is small and loads within a second or so: the probe that finds it loading may need another try.
      for (let tries = 0; tries < 8 && seen !== 'warming'; tries++) {
        await servers[0]?.kill();
        await until('the gateway sees it gone', async () => (await healthOf(FIRST)) === 'down', 20_000);
        restart(0);
        await until('the gateway sees it back', async () => (await healthOf(FIRST)) !== 'down', 20_000);
        seen = await healthOf(FIRST);
      }
      expect(seen).toBe('warming');
      const reply = await client.chat.completions.create({ model: 'auto', messages: ask('Hi'), max_tokens: 4 });
      expect(reply.model).toBe(DEFAULT_ALIAS);
    },
    CALL_MS,
  );

  async function healthOf(target: string): Promise<string> {
    const reply = await fetch(`${gateway.url}/admin/status`, {
      headers: { authorization: `Bearer ${gateway.adminKey}` },
    });
    const status: { targets: { id: string; health: string }[] } = await reply.json();
    return status.targets.find((each) => each.id === target)?.health ?? 'missing';
  }
});
