import { describe, expect, test } from 'bun:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateObject, generateText, jsonSchema, RetryError, stepCountIs, streamText, tool } from 'ai';
import { type startTestGateway, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const MODEL = 'qwen2.5-7b-instruct';
const LONG = { replyTokens: 5_000, tokensPerSecond: 200 };

const CITY_SCHEMA = {
  type: 'object' as const,
  properties: { city: { type: 'string' as const }, people: { type: 'integer' as const } },
  required: ['city', 'people'],
  additionalProperties: false,
};

/** The provider as its documentation shows it, in front of one simulated LM Studio. */
async function studioModel(change: Parameters<typeof startTestGateway>[1] = {}, name = MODEL) {
  const studio = await simulator({ kind: 'lm-studio', models: [{ id: MODEL }] });
  const { url } = await gateway([targetFor(studio)], change);
  const provider = createOpenAICompatible({
    name: 'swarmrouter',
    baseURL: `${url}/v1`,
    apiKey: 'anything',
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
  return { studio, model: provider(name) };
}

describe('the Vercel AI SDK', () => {
  test('generates text, with usage and the reply headers', async () => {
    const { model } = await studioModel();
    const result = await generateText({ model, prompt: 'canary:TEXT' });
    expect(result.text).toContain('canary:TEXT');
    expect(result.finishReason).toBe('stop');
    expect(result.usage.totalTokens).toBeGreaterThan(0);
    expect(result.response.headers?.['x-swarmrouter-target']).toBe('lmstudio');
    expect(result.response.modelId).toBe(MODEL);
  });

  test('streams text piece by piece and learns the usage', async () => {
    const { model } = await studioModel();
    const result = streamText({ model, prompt: 'canary:STREAM' });
    const pieces = await Array.fromAsync(result.textStream);
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.join('')).toContain('canary:STREAM');
    expect(await result.finishReason).toBe('stop');
    expect((await result.usage).outputTokens).toBeGreaterThan(0);
  });

  function weather(asked: unknown[]) {
    return tool({
      description: 'Current weather of a city',
      inputSchema: jsonSchema<{ city: string }>({
        type: 'object',
        properties: { city: { type: 'string' } },
        required: ['city'],
      }),
      execute: ({ city }) => {
        asked.push(city);
        return 'rain';
      },
    });
  }

  test('runs a tool and goes on with its result', async () => {
    const { studio, model } = await studioModel();
    const asked: unknown[] = [];
    const result = await generateText({
      model,
      prompt: 'use tool canary:TOOL',
      tools: { get_weather: weather(asked) },
      stopWhen: stepCountIs(2),
    });
    expect(asked).toEqual([expect.any(String)]);
    expect(result.steps.map((step) => step.finishReason)).toEqual(['tool-calls', 'stop']);
    expect(result.text).toContain('canary:TOOL');
    expect(JSON.stringify(inference(studio)[1]?.body)).toContain('rain');
  });

  test('runs a tool while it streams: the arguments come in pieces and parse as one', async () => {
    const { model } = await studioModel();
    const asked: unknown[] = [];
    const tools = { get_weather: weather(asked) };
    const result = streamText({ model, prompt: 'use tool canary:TOOL', tools, stopWhen: stepCountIs(2) });
    const parts = await Array.fromAsync(result.fullStream);
    expect(asked).toEqual([expect.any(String)]);
    expect(parts.map((part) => part.type)).toContain('tool-result');
    expect(await result.text).toContain('canary:TOOL');
  });

  test('generates an object by a schema, which the server is told', async () => {
    const { studio, model } = await studioModel();
    const schema = jsonSchema<{ city: string; people: number }>(CITY_SCHEMA);
    const { object } = await generateObject({ model, schema, prompt: 'one city' });
    expect(object).toEqual({ city: expect.any(String), people: expect.any(Number) });
    expect(inference(studio)[0]?.body).toMatchObject({ response_format: { type: 'json_schema' } });
  });

  test('sends an image in a message, which arrives byte for byte', async () => {
    const { studio, model } = await studioModel();
    const image = new Uint8Array(3_000).map((_, at) => at % 251);
    const content = [
      { type: 'text' as const, text: 'what is this?' },
      { type: 'image' as const, image, mediaType: 'image/png' },
    ];
    const { text } = await generateText({ model, messages: [{ role: 'user', content }] });
    expect(text).toContain('images:1');
    expect(inference(studio)[0]?.rawBody).toContain(`data:image/png;base64,${Buffer.from(image).toString('base64')}`);
  });

  test('reads the reasoning of a model that thinks', async () => {
    const { model } = await studioModel();
    const result = await generateText({ model, prompt: 'think about canary:WHY' });
    expect(result.reasoningText).toContain('weigh');
    expect(result.text).toContain('canary:WHY');
  });

  test('aborting a stream stops the work on the server', async () => {
    const { studio, model } = await studioModel();
    studio.setBehaviour(LONG);
    const abort = new AbortController();
    const result = streamText({ model, prompt: 'long', abortSignal: abort.signal });
    const types: string[] = [];
    for await (const part of result.fullStream) {
      types.push(part.type);
      if (part.type === 'text-delta') abort.abort();
    }
    expect(types).toContain('abort');
    await until('the server is idle again', () => studio.active() === 0);
    expect(inference(studio)[0]?.aborted).toBe(true);
  });

  test('aborting a whole call rejects with an abort error and stops the work on the server', async () => {
    const { studio, model } = await studioModel();
    studio.setBehaviour(LONG);
    const abort = new AbortController();
    const failure = generateText({ model, prompt: 'long', abortSignal: abort.signal }).catch((error: unknown) => error);
    await until('the server works on it', () => studio.active() === 1);
    abort.abort();
    expect(await failure).toMatchObject({ name: 'AbortError' });
    await until('the server is idle again', () => studio.active() === 0);
  });
});

describe('errors reach the Vercel AI SDK as its own error classes', () => {
  type Model = Awaited<ReturnType<typeof studioModel>>['model'];

  async function failureOf(model: Model, maxRetries = 0): Promise<unknown> {
    return generateText({ model, prompt: 'hi', maxRetries }).then(
      () => {
        throw new Error('expected a failure');
      },
      (error: unknown) => error,
    );
  }

  async function callErrorOf(model: Model): Promise<APICallError> {
    const error = await failureOf(model);
    if (APICallError.isInstance(error)) return error;
    throw new Error(`expected an APICallError, got ${String(error)}`);
  }

  test('a model that nobody has: APICallError with status 404, not to be retried', async () => {
    const { model } = await studioModel({ standIn: 'never' }, 'no-such-model');
    const error = await callErrorOf(model);
    expect([error.statusCode, error.isRetryable]).toEqual([404, false]);
    expect(error.message).toContain('no-such-model');
    expect(error.data).toMatchObject({ error: { code: 'model_not_found', param: 'model' } });
  });

  test('a request that the server refuses: APICallError with its status, not to be retried', async () => {
    const { studio, model } = await studioModel();
    await studio.setFault({ kind: 'status', status: 400 });
    const error = await callErrorOf(model);
    expect([error.statusCode, error.isRetryable]).toEqual([400, false]);
  });

  test('a server that fails, and no other: APICallError with a status of 5xx, worth a retry', async () => {
    const { studio, model } = await studioModel();
    await studio.setFault({ kind: 'status', status: 500 });
    const error = await callErrorOf(model);
    expect(error.statusCode).toBeGreaterThanOrEqual(500);
    expect(error.isRetryable).toBe(true);
    expect(error.responseHeaders?.['x-should-retry']).toBe('false');
  });

  test('its own retries end in a RetryError whose last error is the APICallError', async () => {
    const { studio, model } = await studioModel();
    await studio.setFault({ kind: 'status', status: 429, headers: { 'retry-after-ms': '10' } });
    const error = await failureOf(model, 1);
    if (!RetryError.isInstance(error)) throw new Error(`expected a RetryError, got ${String(error)}`);
    expect(APICallError.isInstance(error.lastError)).toBe(true);
  });

  test('a server that dies in the middle of a stream: an error part after the text, never a silent end', async () => {
    const { studio, model } = await studioModel();
    studio.setBehaviour(LONG);
    const seen: string[] = [];
    const errors: unknown[] = [];
    const result = streamText({ model, prompt: 'long', onError: ({ error }) => void errors.push(error) });
    for await (const part of result.fullStream) {
      seen.push(part.type);
      if (part.type === 'text-delta' && studio.active() > 0) await studio.kill();
    }
    expect(seen).toContain('text-delta');
    expect(seen).toContain('error');
    expect(errors).toHaveLength(1);
  });
});
