import { describe, expect, test } from 'bun:test';
import type { FailureKind } from '../../core/failure.ts';
import { normaliseError, scrub } from './errors.ts';
import { retryAfterMs } from './retry-after.ts';

const TABLE: readonly (readonly [string, number | null, unknown, FailureKind])[] = [
  [
    'LM Studio, nothing loaded',
    400,
    {
      error: {
        message: "No models loaded. Please load a model in the developer page or use the 'lms load' command.",
        type: 'invalid_request_error',
        param: 'model',
        code: null,
      },
    },
    'modelMissing',
  ],
  [
    'LM Studio, overflow as text',
    400,
    {
      error:
        'The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx: 4096)',
    },
    'contextTooLong',
  ],
  [
    'LM Studio, other overflow',
    400,
    {
      error:
        'Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens',
    },
    'contextTooLong',
  ],
  ['LM Studio, MLX overflow', 400, { error: 'Context size has been exceeded' }, 'contextTooLong'],
  ['LM Studio, unknown path', 200, { error: 'Unexpected endpoint or method. (POST /chat/completions)' }, 'failed'],
  [
    'LM Studio, crash',
    500,
    { error: 'The model has crashed without additional information. (Exit code: 6)' },
    'failed',
  ],
  [
    'LM Studio, no token',
    401,
    { error: { type: 'invalid_request', code: 'invalid_api_key', message: 'An LM Studio API token is required' } },
    'badCredentials',
  ],
  [
    'Ollama, unknown model',
    404,
    {
      error: { message: 'model "x" not found, try pulling it first', type: 'not_found_error', param: null, code: null },
    },
    'modelMissing',
  ],
  ['Ollama, busy', 503, { error: 'server busy, please try again.  maximum pending requests exceeded' }, 'overloaded'],
  [
    'llama.cpp, loading',
    503,
    { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } },
    'modelLoading',
  ],
  [
    'llama.cpp, overflow',
    400,
    {
      error: {
        code: 400,
        message: 'request (13392 tokens) exceeds the available context size (8192 tokens), try increasing it',
        type: 'exceed_context_size_error',
        n_prompt_tokens: 13392,
        n_ctx: 8192,
      },
    },
    'contextTooLong',
  ],
  [
    'llama.cpp, overflow under a 500',
    500,
    { error: { code: 500, message: 'the request exceeds the available context size', type: 'server_error' } },
    'contextTooLong',
  ],
  [
    'vLLM, overflow',
    400,
    {
      object: 'error',
      message: "This model's maximum context length is 4096 tokens. However, you requested 5000",
      type: 'BadRequestError',
      param: null,
      code: 400,
    },
    'contextTooLong',
  ],
  [
    'vLLM, unknown model',
    404,
    { error: { message: 'The model `x` does not exist.', type: 'NotFoundError', param: null, code: 404 } },
    'modelMissing',
  ],
  ['FastAPI', 422, { detail: [{ loc: ['body', 'messages'], msg: 'field required' }] }, 'rejected'],
  [
    'OpenAI, overflow',
    400,
    {
      error: { message: 'too long', type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded' },
    },
    'contextTooLong',
  ],
  [
    'OpenAI, rate',
    429,
    {
      error: {
        message: 'Rate limit reached for gpt-4o … tokens',
        type: 'tokens',
        param: null,
        code: 'rate_limit_exceeded',
      },
    },
    'overloaded',
  ],
  [
    'OpenAI, quota',
    429,
    {
      error: {
        message: 'You exceeded your current quota',
        type: 'insufficient_quota',
        param: null,
        code: 'insufficient_quota',
      },
    },
    'outOfQuota',
  ],
  ['a spend limit', 429, { error: { message: 'limit', code: 'enforced_spend_limit_reached' } }, 'outOfQuota'],
  ['credit', 429, { error: { message: 'credit', code: 'credit_balance_exhausted' } }, 'outOfQuota'],
  [
    'OpenAI, unknown model',
    404,
    {
      error: {
        message: 'The model does not exist',
        type: 'invalid_request_error',
        param: null,
        code: 'model_not_found',
      },
    },
    'modelMissing',
  ],
  [
    'OpenAI, key',
    401,
    {
      error: {
        message: 'Incorrect API key provided: sk-abcdefghijkl',
        type: 'invalid_request_error',
        code: 'invalid_api_key',
      },
    },
    'badCredentials',
  ],
  [
    'OpenAI, bad field',
    400,
    {
      error: {
        message: "'temperature' must be <= 2",
        type: 'invalid_request_error',
        param: 'temperature',
        code: 'invalid_value',
      },
    },
    'rejected',
  ],
  ['OpenRouter, no credit', 402, { error: { code: 402, message: 'Insufficient credits' } }, 'outOfQuota'],
  [
    'OpenRouter, moderation',
    403,
    {
      error: {
        code: 403,
        message: 'flagged',
        metadata: { reasons: ['violence'], flagged_input: '…', provider_name: 'OpenAI' },
      },
    },
    'filtered',
  ],
  ['OpenRouter, bad key', 401, { error: { code: 401, message: 'No auth credentials found' } }, 'badCredentials'],
  [
    'OpenRouter, provider overloaded',
    503,
    { error: { code: 503, message: 'overloaded', metadata: { error_type: 'provider_overloaded' } } },
    'overloaded',
  ],
  [
    'OpenRouter, broken off mid-stream',
    null,
    { error: { code: 'server_error', message: 'Provider disconnected unexpectedly' } },
    'failed',
  ],
  ['OpenRouter, rate inside a stream', null, { error: { code: 429, message: 'slow down' } }, 'overloaded'],
  [
    'Azure, filter',
    400,
    {
      error: {
        message: 'The response was filtered',
        type: null,
        param: 'prompt',
        code: 'content_filter',
        status: 400,
        innererror: { code: 'ResponsibleAIPolicyViolation' },
      },
    },
    'filtered',
  ],
  [
    'Azure, no deployment',
    404,
    { error: { code: 'DeploymentNotFound', message: 'The API deployment for this resource does not exist.' } },
    'modelMissing',
  ],
  [
    'Azure, key',
    401,
    { error: { code: '401', message: 'Access denied due to invalid subscription key' } },
    'badCredentials',
  ],
  [
    'Azure, rate',
    429,
    { error: { code: '429', message: 'exceeded token rate limit of your current pricing tier; maximum context' } },
    'overloaded',
  ],
  [
    'Anthropic, overloaded',
    529,
    { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
    'overloaded',
  ],
  ['a proxy page', 502, '<html><body>Bad gateway</body></html>', 'failed'],
  ['an empty body', 500, '', 'failed'],
  ['an unknown path', 404, 'Not Found', 'failed'],
  ['a timeout', 408, {}, 'timeout'],
  ['a conflict, not processed', 409, {}, 'overloaded'],
  ['too early, not processed', 425, {}, 'overloaded'],
  ['not implemented', 501, {}, 'failed'],
  ['HTTP version not supported', 505, {}, 'failed'],
  ['too large', 413, '', 'rejected'],
];

describe('classifying error replies', () => {
  test.each(TABLE.map((row) => [...row]))('%s', (_name, status, body, kind) => {
    const error = normaliseError({ status, retryAfterMs: null, body, where: 'target-1' });
    expect(error.kind).toBe(kind);
    expect(error.message).not.toBe('');
  });

  test('keeps status, code, field and waiting time', () => {
    const body = { error: { message: 'no', type: 't', param: 'messages[0]', code: 'invalid_value' } };
    const error = normaliseError({ status: 422, retryAfterMs: 7, body, where: 'target-1' });
    expect(error).toMatchObject({ status: 422, upstreamCode: 'invalid_value', param: 'messages[0]', retryAfterMs: 7 });
  });

  test('tells the operator that an unknown path is a wrong URL', () => {
    const error = normaliseError({ status: 404, retryAfterMs: null, body: '', where: 'target-1' });
    expect(error.message).toContain("check the target's base URL");
  });

  test('survives any JSON', () => {
    for (const body of [
      null,
      1,
      [],
      [[]],
      { error: null },
      { error: [] },
      { error: { message: 5, code: {} } },
      { error: 7 },
    ]) {
      expect(normaliseError({ status: 500, retryAfterMs: null, body, where: 't' }).kind).toBe('failed');
    }
  });
});

describe('what is kept of an upstream message', () => {
  test.each([
    ['Incorrect API key provided: sk-abc123DEF456ghi.', 'abc123DEF456'],
    ['sk-proj-abc_123DEF456ghi is wrong', '123DEF456'],
    ['sk-or-v1-0123456789abcdef was refused', '0123456789abcdef'],
    ['header Authorization: Bearer abc.def.ghi-123', 'abc.def'],
    ['api_key="0123456789abcdef"', '0123456789abcdef'],
    ['token sk-lm-xxxxxxxx:yyyyyyyyyyyy', 'yyyyyyyy'],
  ])('no key: %s', (message, secret) => {
    expect(scrub(message)).not.toContain(secret);
  });

  test('at most 500 characters', () => {
    expect(scrub('long '.repeat(1_000_000)).length).toBe(500);
  });
});

describe('how long a server asks us to wait', () => {
  const wallMs = Date.parse('Wed, 21 Oct 2026 07:28:00 GMT');
  test.each<[Record<string, string>, number | null]>([
    [{}, null],
    [{ 'retry-after': '2' }, 2_000],
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': '1.5' }, 1_500],
    [{ 'retry-after': ' 3 ' }, 3_000],
    [{ 'retry-after': '1e9' }, 300_000],
    [{ 'retry-after': '86400' }, 300_000],
    [{ 'retry-after': '-1' }, null],
    [{ 'retry-after': 'NaN' }, null],
    [{ 'retry-after': 'Infinity' }, null],
    [{ 'retry-after': 'soon' }, null],
    [{ 'retry-after': '' }, null],
    [{ 'retry-after': 'Wed, 21 Oct 2026 07:28:05 GMT' }, 5_000],
    [{ 'retry-after': 'Wed, 21 Oct 2026 07:27:00 GMT' }, 0],
    [{ 'retry-after': 'Wed, 21 Oct 2099 07:28:00 GMT' }, 300_000],
    [{ 'retry-after': 'Wednesday, not a date' }, null],
    [{ 'retry-after-ms': '174' }, 174],
    [{ 'retry-after-ms': '174.2' }, 175],
    [{ 'retry-after-ms': '174', 'retry-after': '9' }, 174],
    [{ 'retry-after-ms': '-5', 'retry-after': '9' }, 9_000],
    [{ 'x-ratelimit-reset-requests': '1s' }, 1_000],
    [{ 'x-ratelimit-reset-tokens': '6m0s' }, 300_000],
    [{ 'x-ratelimit-reset-tokens': '1m30s' }, 90_000],
    [{ 'x-ratelimit-reset-requests': '174ms', 'x-ratelimit-reset-tokens': '2s' }, 174],
    [{ 'x-ratelimit-reset-requests': 'junk' }, null],
    [{ 'x-ratelimit-reset-tokens': '7.66s' }, 7_660],
    [{ 'x-ratelimit-reset-requests': '12' }, 12_000],
    [{ 'x-ratelimit-reset-requests': '-1s' }, null],
    [{ 'x-ratelimit-reset-requests': '1h2m' }, 300_000],
    [{ 'retry-after': '3', 'x-ratelimit-reset-tokens': '9s' }, 3_000],
    // What is used up decides, not what resets sooner.
    [
      { 'x-ratelimit-reset-requests': '1s', 'x-ratelimit-reset-tokens': '9s', 'x-ratelimit-remaining-tokens': '0' },
      9_000,
    ],
    [
      { 'x-ratelimit-reset-requests': '1s', 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-tokens': '9s' },
      1_000,
    ],
    [
      {
        'x-ratelimit-reset-requests': '1s',
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-tokens': '9s',
        'x-ratelimit-remaining-tokens': '0',
      },
      9_000,
    ],
    // OpenRouter: a time in milliseconds.
    [{ 'x-ratelimit-reset': `${wallMs + 20_000}` }, 20_000],
    [{ 'x-ratelimit-reset': `${wallMs + 86_400_000}` }, 300_000],
    [{ 'x-ratelimit-reset': `${wallMs - 20_000}` }, 0],
    [{ 'x-ratelimit-reset': `${wallMs / 1_000 + 20}` }, 20_000],
    [{ 'x-ratelimit-reset': '30' }, 30_000],
    [{ 'ratelimit-reset': '30' }, 30_000],
    [{ 'x-ratelimit-reset': 'soon' }, null],
    [{ 'x-ratelimit-reset': '-30' }, null],
    [{ 'x-ratelimit-reset': 'NaN' }, null],
    [{ 'retry-after': '2, 5' }, null],
    [{ 'retry-after': '0x10' }, null],
    [{ 'retry-after': '1e309' }, null],
    [{ 'retry-after-ms': '1e9' }, 300_000],
    [{ 'retry-after-ms': 'NaN', 'retry-after': 'NaN', 'x-ratelimit-reset': '5' }, 5_000],
  ])('%j', (headers, expected) => {
    expect(retryAfterMs(new Headers(headers), wallMs)).toBe(expected);
  });
});

describe('S-13 a message that is made to take the square of its length', () => {
  const kindOf = (message: string) =>
    normaliseError({ status: 404, retryAfterMs: null, body: { error: { message } }, where: 'x' }).kind;

  test('is judged by its beginning alone', () => {
    const evil = ' model'.repeat(200_000);
    expect(kindOf(evil)).toBe('failed');
    expect(kindOf(`model "m" not found${evil}`)).toBe('modelMissing');
    expect(kindOf(`${evil} not found`)).toBe('failed');
  });
});
