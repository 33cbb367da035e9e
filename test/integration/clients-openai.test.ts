import { describe, expect, test } from 'bun:test';
import OpenAI from 'openai';
import type { Target } from '../../src/core/target.ts';
import { type startTestGateway, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const MODEL = 'qwen2.5-7b-instruct';
const CLOUD_MODEL = 'openai/gpt-4o-mini';
const MODELS = [{ id: MODEL }];

/** A client as its documentation shows it, with the address alone changed. */
function clientOf(url: string): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: 'anything', maxRetries: 2, timeout: 10_000 });
}

async function clientBefore(targets: readonly Target[], change: Parameters<typeof startTestGateway>[1] = {}) {
  const { url } = await gateway(targets, change);
  return clientOf(url);
}

async function studioClient() {
  const studio = await simulator({ kind: 'lm-studio', models: MODELS });
  return { studio, client: await clientBefore([targetFor(studio)]) };
}

const ask = (content: string) => [{ role: 'user' as const, content }];

const WEATHER: OpenAI.Chat.Completions.ChatCompletionTool = {
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

describe('the official openai client', () => {
  test('chats', async () => {
    const { client } = await studioClient();
    const completion = await client.chat.completions.create({ model: MODEL, messages: ask('canary:CHAT') });
    expect(completion.choices[0]?.message.content).toContain('canary:CHAT');
    expect(completion.choices[0]?.finish_reason).toBe('stop');
    expect(completion.usage?.total_tokens).toBeGreaterThan(0);
  });

  test('sees who answered in the reply headers', async () => {
    const { client } = await studioClient();
    const { response, request_id } = await client.chat.completions
      .create({ model: MODEL, messages: ask('hi') })
      .withResponse();
    expect(response.headers.get('x-swarmrouter-target')).toBe('lmstudio');
    expect(request_id).toBe(response.headers.get('x-request-id'));
  });

  test('streams, with the usage in the last chunk when it asks for it', async () => {
    const { client } = await studioClient();
    const stream = await client.chat.completions.create({
      model: MODEL,
      stream: true,
      stream_options: { include_usage: true },
      messages: ask('canary:STREAM'),
    });
    const chunks = await Array.fromAsync(stream);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toContain('canary:STREAM');
    expect(chunks.at(-1)?.usage?.completion_tokens).toBeGreaterThan(0);
  });

  test('its stream helper assembles the same reply as a whole call', async () => {
    const { client } = await studioClient();
    const body = { model: MODEL, messages: ask('canary:SAME') };
    const whole = await client.chat.completions.create(body);
    const streamed = await client.chat.completions.stream(body).finalChatCompletion();
    expect(streamed.choices[0]?.message.content).toBe(whole.choices[0]?.message.content ?? null);
    expect(streamed.choices[0]?.finish_reason).toBe(whole.choices[0]?.finish_reason ?? 'length');
  });

  for (const stream of [false, true]) {
    test(`runs a tool by itself and hands the result back, ${stream ? 'streamed' : 'whole'}`, async () => {
      const { studio, client } = await studioClient();
      const cities: unknown[] = [];
      const tool = {
        type: 'function' as const,
        function: {
          name: 'get_weather',
          description: 'Current weather of a city',
          parse: (text: string): { city: unknown } => JSON.parse(text),
          function: (given: { city: unknown }) => {
            cities.push(given.city);
            return 'rain';
          },
          parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
        },
      };
      const messages = ask('use tool canary:TOOL');
      const runner = stream
        ? client.chat.completions.runTools({ model: MODEL, messages, tools: [tool], stream: true })
        : client.chat.completions.runTools({ model: MODEL, messages, tools: [tool] });
      expect(await runner.finalContent()).toContain('canary:TOOL');
      expect(cities).toEqual([expect.any(String)]);
      expect(inference(studio)).toHaveLength(2);
      expect(JSON.stringify(inference(studio)[1]?.body)).toContain('rain');
    });
  }

  test('gets a tool call that it demands, with arguments that parse', async () => {
    const { client } = await studioClient();
    const completion = await client.chat.completions.create({
      model: MODEL,
      messages: ask('hi'),
      tools: [WEATHER],
      tool_choice: 'required',
    });
    const call = completion.choices[0]?.message.tool_calls?.[0];
    if (call?.type !== 'function') throw new Error('no function call in the reply');
    expect(call.function.name).toBe('get_weather');
    expect(JSON.parse(call.function.arguments)).toEqual({ city: expect.any(String) });
    expect(completion.choices[0]?.finish_reason).toBe('tool_calls');
  });

  test('parses structured output', async () => {
    const { client } = await studioClient();
    const completion = await client.chat.completions.parse({
      model: MODEL,
      messages: ask('hi'),
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'city',
          strict: true,
          schema: {
            type: 'object',
            properties: { city: { type: 'string' }, people: { type: 'integer' } },
            required: ['city', 'people'],
            additionalProperties: false,
          },
        },
      },
    });
    expect(JSON.parse(completion.choices[0]?.message.content ?? '')).toEqual({
      city: expect.any(String),
      people: expect.any(Number),
    });
  });

  test('sends images in messages, which arrive byte for byte', async () => {
    const { studio, client } = await studioClient();
    const url = `data:image/png;base64,${'iVBORw0KGgo'.repeat(2_000)}`;
    const content = [
      { type: 'text' as const, text: 'what is this?' },
      { type: 'image_url' as const, image_url: { url, detail: 'low' as const } },
    ];
    const completion = await client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content }] });
    expect(completion.choices[0]?.message.content).toContain('images:1');
    expect(inference(studio)[0]?.body).toMatchObject({ messages: [{ role: 'user', content }] });
  });

  test('lists models and finds one whose name holds a slash', async () => {
    const studio = await simulator({ kind: 'lm-studio', models: MODELS });
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }] });
    const client = await clientBefore([targetFor(studio), targetFor(cloud)]);
    const ids = (await Array.fromAsync(client.models.list())).map((model) => model.id);
    expect(ids).toContain(MODEL);
    expect((await client.models.retrieve(CLOUD_MODEL)).id).toBe(CLOUD_MODEL);
  });

  test('aborting a stream stops the work on the server', async () => {
    const { studio, client } = await studioClient();
    studio.setBehaviour({ replyTokens: 5_000, tokensPerSecond: 100 });
    const stream = await client.chat.completions.create({ model: MODEL, stream: true, messages: ask('long') });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) break;
    }
    await until('the server is idle again', () => studio.active() === 0);
    expect(inference(studio)[0]?.aborted).toBe(true);
  });

  test('aborting a whole call is its own abort error and stops the work on the server', async () => {
    const { studio, client } = await studioClient();
    studio.setBehaviour({ replyTokens: 5_000, tokensPerSecond: 100 });
    const abort = new AbortController();
    const call = client.chat.completions.create({ model: MODEL, messages: ask('long') }, { signal: abort.signal });
    const failure = call.catch((error: unknown) => error);
    await until('the server works on it', () => studio.active() === 1);
    abort.abort();
    expect(await failure).toBeInstanceOf(OpenAI.APIUserAbortError);
    await until('the server is idle again', () => studio.active() === 0);
  });
});

describe('errors reach the official openai client as its own exception classes', () => {
  async function failureOf(client: OpenAI, body: object): Promise<InstanceType<typeof OpenAI.APIError>> {
    const error = await client.post('/chat/completions', { body }).catch((caught: unknown) => caught);
    if (error instanceof OpenAI.APIError) return error;
    throw new Error(`expected an APIError, got ${String(error)}`);
  }

  test('a request without messages: BadRequestError that names the field; nothing is sent to a server', async () => {
    const { studio, client } = await studioClient();
    const error = await failureOf(client, { model: MODEL });
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect([error.status, error.param, error.type]).toEqual([400, 'messages', 'invalid_request_error']);
    expect(error.requestID).toEqual(expect.any(String));
    expect(inference(studio)).toEqual([]);
  });

  test('a model that nobody has, with no stand-in: NotFoundError with its code', async () => {
    const studio = await simulator({ kind: 'lm-studio', models: MODELS });
    const client = await clientBefore([targetFor(studio)], { standIn: 'never' });
    const error = await failureOf(client, { model: 'no-such-model', messages: ask('hi') });
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect([error.code, error.param]).toEqual(['model_not_found', 'model']);
  });

  test('a body that is too large: APIError with status 413', async () => {
    const studio = await simulator({ kind: 'lm-studio', models: MODELS });
    const client = await clientBefore([targetFor(studio)], { maxBodyBytes: 2_000 });
    const error = await failureOf(client, { model: MODEL, messages: ask('x'.repeat(4_000)) });
    expect(error.status).toBe(413);
  });

  test('a server that limits the rate, and no other: RateLimitError', async () => {
    const { studio, client } = await studioClient();
    await studio.setFault({ kind: 'status', status: 429 });
    expect(await failureOf(client, { messages: ask('hi') })).toBeInstanceOf(OpenAI.RateLimitError);
  });

  test('a server that fails, and no other: InternalServerError, and the client does not repeat our attempts', async () => {
    const { studio, client } = await studioClient();
    await studio.setFault({ kind: 'status', status: 500 });
    expect(await failureOf(client, { messages: ask('hi') })).toBeInstanceOf(OpenAI.InternalServerError);
    const sentForOneCall = inference(studio).length;
    studio.clearLog();
    await failureOf(new OpenAI({ baseURL: client.baseURL, apiKey: 'anything', maxRetries: 0 }), {
      messages: ask('hi'),
    });
    expect(sentForOneCall).toBe(inference(studio).length);
  });

  test('no server at all: InternalServerError with a message that says so', async () => {
    const studio = await simulator({ kind: 'lm-studio', models: MODELS });
    await studio.kill();
    const client = await clientBefore([targetFor(studio)]);
    const error = await failureOf(client, { messages: ask('hi') });
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error.status).toBe(503);
    expect(error.message.length).toBeGreaterThan(20);
  });

  test('a server that dies in the middle of a stream: an APIError with a code, after the text that had come', async () => {
    const { studio, client } = await studioClient();
    studio.setBehaviour({ replyTokens: 5_000, tokensPerSecond: 200 });
    const stream = await client.chat.completions.create({ model: MODEL, stream: true, messages: ask('long') });
    let seen = '';
    const read = async (): Promise<void> => {
      for await (const chunk of stream) {
        seen += chunk.choices[0]?.delta.content ?? '';
        if (seen !== '' && studio.active() > 0) await studio.kill();
      }
    };
    const error = await read().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect((error as InstanceType<typeof OpenAI.APIError>).code).toEqual(expect.stringContaining('upstream_'));
    expect(seen).not.toBe('');
  });
});
