import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { ANYONE } from '../core/caller.ts';
import { Secret } from '../core/secret.ts';
import { createLog, type LogFormat, type LogLevel } from './log.ts';
import { cut, exhausted, failedAttempt, served, someAttempt, someRequest } from './outcome-fixture.ts';
import { createRequestLog, LOGGED_BODY_BYTES } from './request-log.ts';

function recording(format: LogFormat = 'json', level: LogLevel = 'info') {
  const written: string[] = [];
  const output = {
    write: (line: string) => void written.push(line),
    takeDropped: () => 0,
    flush: async () => undefined,
    flushNow: () => undefined,
  };
  const log = createLog({ level, format, output, wallMs: () => new Date(2026, 1, 3, 12, 4, 31).getTime() });
  return { log, written, objects: () => written.map((line) => JSON.parse(line)) };
}

describe('a JSON log line', () => {
  test('has the time in ISO form, the level as a word, the message and the fields', () => {
    const { log, objects } = recording();
    log.warn({ target: 'box', error: new Error('refused') }, 'target is down');
    expect(objects()[0]).toMatchObject({
      level: 'warn',
      time: new Date(2026, 1, 3, 12, 4, 31).toISOString(),
      msg: 'target is down',
      target: 'box',
      error: { message: 'refused' },
    });
  });

  test('is made only from the level on', () => {
    const { log, objects } = recording('json', 'warn');
    log.debug({}, 'a');
    log.info({}, 'b');
    log.warn({}, 'c');
    log.error({}, 'd');
    expect(objects().map(({ msg }) => msg)).toEqual(['c', 'd']);
  });

  test('survives fields that JSON cannot hold, and keeps the others', () => {
    const { log, objects } = recording();
    const circular: Record<string, unknown> = { name: 'loop' };
    circular['self'] = circular;
    log.warn({ circular, big: 10n, target: 'box' }, 'odd fields');
    expect(objects()[0]).toMatchObject({ circular: '[not shown]', big: '10', target: 'box', msg: 'odd fields' });
  });

  test('tells the whole chain of causes of an error, and of a closed chain its beginning', () => {
    const { log, objects } = recording();
    const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    refused.cause = refused;
    log.error({ error: new TypeError('no reply', { cause: refused }) }, 'request failed');
    expect(objects()[0].error).toMatchObject({
      type: 'TypeError',
      message: 'no reply',
      cause: { message: 'refused', code: 'ECONNREFUSED' },
    });
    expect(objects()[0].error.stack).toContain('no reply');
  });

  test('tells first how many lines were dropped before it, also when warnings are off', () => {
    const written: string[] = [];
    const dropped = [0, 7, 0];
    const output = {
      write: (line: string) => void written.push(line),
      takeDropped: () => dropped.shift() ?? 0,
      flush: async () => undefined,
      flushNow: () => undefined,
    };
    const log = createLog({ level: 'error', format: 'json', output, wallMs: () => 0 });
    for (const message of ['a', 'b', 'c']) log.error({}, message);
    const lines = written.map((line) => JSON.parse(line));
    expect(lines.map(({ dropped_lines, msg }) => dropped_lines ?? msg)).toEqual(['a', 7, 'b', 'c']);
  });

  test('never shows a secret', () => {
    for (const format of ['json', 'readable'] as const) {
      const { log, written } = recording(format);
      log.info({ key: new Secret('sk-canary'), nested: { key: new Secret('sk-canary') } }, 'started');
      expect(written.join('')).toContain('[secret]');
      expect(written.join('')).not.toContain('canary');
    }
  });

  test('cannot be broken by any text, and still says exactly that text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (message, value) => {
        const { log, written, objects } = recording();
        log.info({ value }, message);
        const line = written[0] ?? '';
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
        expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
        expect(line.endsWith('\n')).toBe(true);
        expect(objects()[0]).toMatchObject({ msg: message, value });
      }),
    );
  });
});

describe('a readable log line', () => {
  test('is short and plain', () => {
    const { log, written } = recording('readable');
    log.info({}, 'listening');
    log.warn({ target: 'box', error: new Error('refused') }, 'target is down');
    expect(written).toEqual(['12:04:31 listening\n', '12:04:31 warn target is down target=box error=refused\n']);
  });

  test('keeps no control character of a hostile model name', () => {
    const { log, written } = recording('readable');
    const request = createRequestLog({ log, format: 'readable', logRequests: false, logResponses: false });
    request.record(served({ model: 'a\n12:00:00 ok forged\u001b[2J\u009b31m' }));
    expect(written).toEqual([
      '12:04:31 ok 200 a\\u000a12:00:00 ok forged\\u001b[2J\\u009b31m on lmstudio (local) 834 ms, 57 tokens\n',
    ]);
  });
});

describe('the request log', () => {
  const requestLog = (format: LogFormat, bodies: { logRequests?: boolean; logResponses?: boolean } = {}) => {
    const made = recording(format);
    const options = { log: made.log, format, logRequests: false, logResponses: false, ...bodies };
    return { ...made, requests: createRequestLog(options) };
  };

  test('tells a person in one line who answered', () => {
    const { requests, written } = requestLog('readable');
    const by = someAttempt({ targetId: 'openrouter', place: 'cloud' });
    requests.record(served());
    requests.record(served({ by, attempts: [failedAttempt, by], usage: null }));
    requests.record(cut());
    requests.record(exhausted());
    expect(written.map((line) => line.slice(9, -1))).toEqual([
      'ok 200 qwen2.5-7b on lmstudio (local) 834 ms, 57 tokens',
      'ok 200 qwen2.5-7b on openrouter (cloud) 834 ms, after lmstudio: unreachable',
      'cut 200 qwen2.5-7b on lmstudio (local) 834 ms, truncated',
      'failed 503 gpt-4o-mini 5 ms, target_unreachable, after lmstudio: unreachable',
    ]);
  });

  test('tells that an answer was continued, after whom, and when its first content came', () => {
    const by = someAttempt({ targetId: 'openrouter', place: 'cloud', firstContentMs: 300 });
    const broke = someAttempt({ failure: 'truncated', firstContentMs: 120 });
    const outcome = served({ by, attempts: [failedAttempt, broke, by], usage: null });
    const [readable, json] = [requestLog('readable'), requestLog('json')];
    readable.requests.record(outcome);
    json.requests.record(outcome);
    json.requests.record(served());
    expect(readable.written.map((line) => line.slice(9, -1))).toEqual([
      'ok 200 qwen2.5-7b on openrouter (cloud) 834 ms, continued after lmstudio: unreachable, lmstudio: truncated',
    ]);
    expect(json.objects()[0]).toMatchObject({ target: 'openrouter', continued: 1, first_content_ms: 120 });
    expect(json.objects()[1]).not.toHaveProperty('continued');
  });

  test('gives a program every fact of the outcome, and no body', () => {
    const { requests, objects, written } = requestLog('json');
    const by = someAttempt({ queuedMs: 12 });
    requests.record(served({ by, attempts: [failedAttempt, by] }));
    requests.record(exhausted());
    expect(objects()[0]).toMatchObject({
      level: 'info',
      request_id: 'req-1',
      outcome: 'served',
      status: 200,
      model_asked: 'gpt-4o-mini',
      model_answered: 'qwen2.5-7b',
      target: 'lmstudio',
      place: 'local',
      duration_ms: 834,
      first_content_ms: 120,
      queued_ms: 12,
      prompt_tokens: 50,
      completion_tokens: 7,
      attempts: [{ target: 'lmstudio', failure: 'unreachable', message: 'connection refused' }, { status: 200 }],
    });
    expect(objects()[1]).toMatchObject({
      status: 503,
      code: 'target_unreachable',
      left_out: [{ target: 'openrouter', place: 'cloud', kind: 'down', reason: 'no key' }],
    });
    expect(written.join('')).not.toContain('_body');
    expect(requests.tapResponse('req-1', ANYONE)).toBeNull();
  });

  test('mentions what was left out only when something was', () => {
    const { requests, objects } = requestLog('json');
    requests.record(served());
    expect(objects()[0]).not.toHaveProperty('left_out');
  });

  test('does not even look at an outcome when its line is not written', () => {
    const { log, written } = recording('json', 'warn');
    const requests = createRequestLog({ log, format: 'json', logRequests: true, logResponses: false });
    const untouchable = new Proxy(served(), {
      get() {
        throw new Error('looked at');
      },
    });
    expect(() => requests.record(untouchable)).not.toThrow();
    expect(written).toEqual([]);
  });

  test('adds bodies only when asked to, and of a large one only the beginning', () => {
    const { requests, objects } = requestLog('json', { logRequests: true, logResponses: true });
    requests.record(served({ request: someRequest({ rawBody: new Uint8Array(100_000).fill(0x61) }) }));
    const tap = requests.tapResponse('req-1', ANYONE);
    const chunk = new TextEncoder().encode('héllo ');
    for (let at = 0; at < 20_000; at++) tap?.write(chunk);
    tap?.end();
    tap?.end();
    const [request, reply, ...more] = objects();
    expect(request.request_body).toBe('a'.repeat(LOGGED_BODY_BYTES));
    expect(request.request_body_total_bytes).toBe(100_000);
    expect(reply.request_id).toBe('req-1');
    expect(reply.response_body.startsWith('héllo héllo')).toBe(true);
    expect(reply.response_body_total_bytes).toBe(140_000);
    expect(more).toEqual([]);
  });

  test('keeps what a tap was given when its caller reuses the buffer', () => {
    const { requests, objects } = requestLog('json', { logResponses: true });
    const buffer = new TextEncoder().encode('first');
    const tap = requests.tapResponse('req-1', ANYONE);
    tap?.write(buffer);
    buffer.fill(0x78);
    tap?.end();
    expect(objects()[0].response_body).toBe('first');
  });
});
