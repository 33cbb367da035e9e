import { describe, expect, test } from 'bun:test';
import OpenAI from 'openai';
import type { Fault } from '../../simulators/index.ts';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { inference } from '../support/running.ts';

const parts = faultParts();
/** Long enough for a probe on a busy machine. */
const QUICK = { firstByteMs: 500, firstTokenMs: 500, idleMs: 500 };
const MAX_RETRIES = 3;
/** Only what was surely not processed may be asked again, and then as often as the retry limit says. */
const ONCE = 1;
const ALL_RETRIES = 1 + MAX_RETRIES;

/** The client as it comes: with its own two retries. */
const clientOf = (url: string): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused' });

const ask = { model: 'sim-model', messages: [{ role: 'user' as const, content: 'canary:SDK' }] };

/** One target of a kind without any special ways, so that the table shows the policy and nothing else. */
async function oneServer() {
  const server = await parts.simulator({ kind: 'vllm', replyTokens: 20, tokensPerSecond: 400 });
  const target = targetFor(server);
  const { url, outcomes } = await parts.gateway([{ ...target, clocks: { ...target.clocks, ...QUICK } }], {
    maxRetries: MAX_RETRIES,
    retryDelayMs: 1,
  });
  return { server, client: clientOf(url), outcomes };
}

const status = (code: number, body?: unknown, headers?: Record<string, string>): Fault => ({
  kind: 'status',
  status: code,
  ...(body === undefined ? {} : { body }),
  ...(headers === undefined ? {} : { headers }),
});

const coded = (code: string): object => ({ error: { message: 'no', type: 'x', param: null, code } });

interface Row {
  readonly name: string;
  readonly fault: Fault;
  readonly calls: number;
  readonly raises: new (...args: never[]) => Error;
  readonly status: number;
  readonly code: string;
}

const row = (
  name: string,
  fault: Fault,
  calls: number,
  raises: Row['raises'],
  clientStatus: number,
  code: string,
): Row => ({ name, fault, calls, raises, status: clientStatus, code });

const {
  APIConnectionError,
  APIError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
  UnprocessableEntityError,
} = OpenAI;

const BEFORE_CONTENT: readonly Row[] = [
  row('F-04 junk', { kind: 'junk' }, ONCE, InternalServerError, 502, 'upstream_invalid_response'),
  row('F-06 silence', { kind: 'hang' }, ONCE, InternalServerError, 504, 'upstream_timeout'),
  row('F-07 headers only', { kind: 'headers-only' }, ONCE, InternalServerError, 504, 'upstream_timeout'),
  row('F-11 a clean end', { kind: 'clean-end', afterChunks: 0 }, ONCE, InternalServerError, 502, 'upstream_truncated'),
  row(
    'F-12 an error event',
    { kind: 'error-in-stream', afterChunks: 0 },
    ONCE,
    InternalServerError,
    502,
    'upstream_error',
  ),
  row(
    'F-13 bad JSON',
    { kind: 'bad-json-line', afterChunks: 0 },
    ONCE,
    InternalServerError,
    502,
    'upstream_invalid_response',
  ),
  row('F-18 a web page', { kind: 'html' }, ONCE, InternalServerError, 502, 'upstream_invalid_response'),
  row('F-19 an error under 200', { kind: 'error-with-200' }, ONCE, InternalServerError, 502, 'upstream_error'),
  row('F-19 an empty answer', { kind: 'empty' }, ONCE, InternalServerError, 502, 'upstream_invalid_response'),
  row('F-20 status 400', status(400, coded('invalid_value')), ONCE, BadRequestError, 400, 'invalid_value'),
  row('F-20 status 413', status(413, coded('invalid_value')), ONCE, APIError, 413, 'invalid_value'),
  row('F-20 status 422', status(422, coded('invalid_value')), ONCE, UnprocessableEntityError, 422, 'invalid_value'),
  row('F-21 status 401', status(401), ONCE, InternalServerError, 502, 'upstream_auth_failed'),
  row('F-21 status 402', status(402), ONCE, InternalServerError, 502, 'upstream_quota_exhausted'),
  row('F-21 status 403', status(403), ONCE, InternalServerError, 502, 'upstream_auth_failed'),
  row('F-22 status 429', status(429), ALL_RETRIES, RateLimitError, 429, 'rate_limit_exceeded'),
  row(
    'F-22 status 429, come back in a minute',
    status(429, undefined, { 'retry-after': '60' }),
    ONCE,
    RateLimitError,
    429,
    'rate_limit_exceeded',
  ),
  row(
    'F-22 status 429, the account is empty',
    status(429, coded('insufficient_quota')),
    ONCE,
    InternalServerError,
    502,
    'upstream_quota_exhausted',
  ),
  row('F-23 a missing model', status(404, coded('model_not_found')), ONCE, NotFoundError, 404, 'model_not_found'),
  row('F-24 status 408', status(408), ONCE, InternalServerError, 504, 'upstream_timeout'),
  row('F-24 status 409', status(409), ALL_RETRIES, RateLimitError, 429, 'rate_limit_exceeded'),
  row('F-24 status 425', status(425), ALL_RETRIES, RateLimitError, 429, 'rate_limit_exceeded'),
  row('F-25 status 500', status(500), ONCE, InternalServerError, 502, 'upstream_error'),
  row('F-25 status 501', status(501), ONCE, InternalServerError, 502, 'upstream_error'),
  row('F-25 status 502', status(502), ONCE, InternalServerError, 502, 'upstream_error'),
  row('F-25 status 503', status(503), ALL_RETRIES, RateLimitError, 429, 'rate_limit_exceeded'),
  row('F-25 status 504', status(504), ONCE, InternalServerError, 502, 'upstream_error'),
  row('F-25 status 505', status(505), ONCE, InternalServerError, 502, 'upstream_error'),
  row('F-25 status 529', status(529), ALL_RETRIES, RateLimitError, 429, 'rate_limit_exceeded'),
  row(
    'F-27 a prompt too long',
    status(400, coded('context_length_exceeded')),
    ONCE,
    BadRequestError,
    400,
    'context_length_exceeded',
  ),
  row('F-28 a filtered prompt', status(400, coded('content_filter')), ONCE, BadRequestError, 400, 'content_filter'),
  row(
    'F-29 a redirect',
    { kind: 'redirect', location: 'http://127.0.0.1:9/' },
    ONCE,
    InternalServerError,
    502,
    'upstream_invalid_response',
  ),
];

describe('the official client with its own retries on, and no other target', () => {
  for (const stream of [false, true]) {
    for (const expected of BEFORE_CONTENT) {
      const { name, fault, calls, raises } = expected;
      test(`${name}, ${stream ? 'streamed' : 'whole'}: ${raises.name}, ${calls} upstream call${calls === 1 ? '' : 's'}`, async () => {
        const { server, client, outcomes } = await oneServer();
        await server.setFault(fault);
        const error = await client.chat.completions.create({ ...ask, stream }).catch((thrown: unknown) => thrown);
        if (!(error instanceof APIError)) throw new Error(`expected an APIError, got ${String(error)}`);
        expect(error.constructor.name).toBe(raises.name);
        expect([error.status, error.code]).toEqual([expected.status, expected.code]);
        expect(error.requestID).toEqual(expect.any(String));
        expect(inference(server).map((request) => request.fault)).toEqual(Array(calls).fill(fault.kind));
        // One request of the client: its own retries never began.
        expect(outcomes.map(({ kind }) => kind)).toEqual(['exhausted']);
      });
    }

    test(`F-01 a closed port, ${stream ? 'streamed' : 'whole'}: InternalServerError, never a connection error`, async () => {
      const { server, client } = await oneServer();
      await server.kill();
      const error = await client.chat.completions.create({ ...ask, stream }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(InternalServerError);
      expect(error).not.toBeInstanceOf(APIConnectionError);
      expect(error).toMatchObject({ status: 503, code: 'target_unreachable' });
      expect(inference(server)).toEqual([]);
    });
  }
});

const AFTER_CONTENT: readonly (readonly [string, Fault, string])[] = [
  ['F-08 a stall', { kind: 'stall', afterChunks: 3 }, 'upstream_timeout'],
  ['F-10 a reset', { kind: 'reset', afterChunks: 3 }, 'upstream_truncated'],
  ['F-11 a clean end', { kind: 'clean-end', afterChunks: 3 }, 'upstream_truncated'],
  ['F-11 a cut', { kind: 'cut', afterChunks: 3 }, 'upstream_truncated'],
  ['F-12 an error event', { kind: 'error-in-stream', afterChunks: 3 }, 'upstream_error'],
  ['F-12 an `event: error`', { kind: 'error-in-stream', afterChunks: 3, shape: 'event' }, 'upstream_error'],
  ['F-13 bad JSON', { kind: 'bad-json-line', afterChunks: 3 }, 'upstream_invalid_response'],
  ['F-13 half a line', { kind: 'truncated-line', afterChunks: 3 }, 'upstream_truncated'],
  ['F-15 a giant line', { kind: 'giant-line', bytes: 5_000_000, afterChunks: 3 }, 'upstream_invalid_response'],
];

describe('the official client, once a stream has begun', () => {
  for (const [name, fault, code] of AFTER_CONTENT) {
    test(`${name}: APIError after the text that had come, and one upstream call`, async () => {
      const { server, client, outcomes } = await oneServer();
      await server.setFault(fault);
      const stream = await client.chat.completions.create({ ...ask, stream: true });
      let text = '';
      const read = async (): Promise<void> => {
        for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
      };
      const error = await read().then(
        () => null,
        (thrown: unknown) => thrown,
      );
      if (!(error instanceof APIError)) throw new Error(`expected an APIError, got ${String(error)}`);
      expect(error).not.toBeInstanceOf(APIConnectionError);
      expect(error.code).toBe(code);
      expect(text).not.toBe('');
      expect(inference(server).length).toBe(1);
      expect(outcomes.map(({ kind }) => kind)).toEqual(['cut']);
    });
  }
});

describe('the official client, while another target answers', () => {
  for (const { name, fault, status: clientStatus } of BEFORE_CONTENT) {
    // A client's own mistake is nobody's to hide.
    if (clientStatus === 413 || clientStatus === 422 || name.includes('status 400') || name.includes('filtered'))
      continue;
    test(`${name}: notices nothing, and each target is called once`, async () => {
      const faulty = await parts.simulator({ kind: 'lm-studio' });
      const steady = await parts.simulator({ kind: 'vllm' });
      const target = targetFor(faulty);
      const { url } = await parts.gateway([
        { ...target, clocks: { ...target.clocks, ...QUICK } },
        targetFor(steady, { id: 'steady' }),
      ]);
      await faulty.setFault(fault);
      const completion = await clientOf(url).chat.completions.create(ask);
      expect(completion.choices[0]?.message.content).toContain('canary:SDK');
      expect([inference(faulty).length, inference(steady).length]).toEqual([1, 1]);
    });
  }
});
