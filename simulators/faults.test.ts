import { describe, expect, test } from 'bun:test';
import { connect } from 'node:net';
import { FAULT_KINDS, type Fault, type SimulatedRequest, type Simulator } from './index.ts';
import { chat, chatUrl, chunksOf, jsonOf, simulate, stopSimulatorsAfterEach } from './test-support.ts';

stopSimulatorsAfterEach();

interface Seen {
  readonly status: number;
  readonly body: string;
  /** How the connection ended for the client. */
  readonly end: 'whole' | 'broken' | 'left';
}

/** Reads until the end, an error, or 150 ms without a byte. */
async function observe(simulator: Simulator, body: object): Promise<Seen> {
  const leave = new AbortController();
  let patience = setTimeout(() => leave.abort(), 150);
  const seen = { status: 0, body: '' };
  const ended = (): Seen['end'] => (leave.signal.aborted ? 'left' : 'broken');
  try {
    const response = await chat(simulator, body, { signal: leave.signal, redirect: 'manual' });
    seen.status = response.status;
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    for await (const bytes of response.body ?? []) {
      seen.body += decoder.decode(bytes, { stream: true });
      clearTimeout(patience);
      patience = setTimeout(() => leave.abort(), 150);
    }
    return { ...seen, end: 'whole' };
  } catch {
    return { ...seen, end: ended() };
  } finally {
    clearTimeout(patience);
  }
}

function contentsOf(sse: string): string[] {
  return chunksOf(sse).flatMap((chunk) => {
    const [choice] = (chunk['choices'] ?? []) as { delta?: { content?: string } }[];
    return choice?.delta?.content ? [choice.delta.content] : [];
  });
}

type Expectation = (seen: Seen, simulator: Simulator) => void;

const STREAMED: Partial<Record<Fault['kind'], [Fault, Expectation]>> = {
  status: [{ kind: 'status', status: 429, headers: { 'retry-after': '7' } }, ({ status }) => expect(status).toBe(429)],
  refuse: [{ kind: 'refuse' }, ({ status, end }) => expect([status, end]).toEqual([0, 'broken'])],
  junk: [{ kind: 'junk' }, ({ status, end }) => expect([status, end]).toEqual([0, 'broken'])],
  hang: [{ kind: 'hang' }, ({ status, end }) => expect([status, end]).toEqual([0, 'left'])],
  'headers-only': [
    { kind: 'headers-only' },
    ({ status, end, body }) => expect([status, end, body]).toEqual([200, 'left', '']),
  ],
  stall: [
    { kind: 'stall', afterChunks: 2 },
    ({ body, end }) => expect([contentsOf(body).length, end]).toEqual([2, 'left']),
  ],
  'reset-before-headers': [
    { kind: 'reset-before-headers' },
    ({ status, end }) => expect([status, end]).toEqual([0, 'broken']),
  ],
  reset: [
    { kind: 'reset', afterChunks: 3 },
    ({ body, end }) => expect([contentsOf(body).length, end]).toEqual([3, 'broken']),
  ],
  'reset-after-bytes': [
    { kind: 'reset-after-bytes', bytes: 100 },
    ({ body, end }) => expect([body.length, end]).toEqual([100, 'broken']),
  ],
  'clean-end': [
    { kind: 'clean-end', afterChunks: 2 },
    ({ body, end }) => {
      expect([contentsOf(body).length, end]).toEqual([2, 'whole']);
      expect(body).not.toContain('[DONE]');
      expect(body).not.toContain('"finish_reason":"stop"');
    },
  ],
  'error-in-stream': [
    { kind: 'error-in-stream', afterChunks: 0, shape: 'event' },
    ({ body, end }) => {
      expect([contentsOf(body).length, end]).toEqual([0, 'whole']);
      expect(body).toMatch(/event: error\ndata: \{"error":.*\}\n\n$/);
    },
  ],
  'error-with-200': [
    { kind: 'error-with-200' },
    ({ status, body }) => expect([status, Object.keys(JSON.parse(body))]).toEqual([200, ['error']]),
  ],
  empty: [
    { kind: 'empty' },
    ({ body, end }) => {
      expect([contentsOf(body).length, end]).toEqual([0, 'whole']);
      expect(body).toMatch(/"role":"assistant".*\n\ndata: \[DONE\]\n\n$/);
    },
  ],
  'empty-choices': [
    { kind: 'empty-choices' },
    ({ body }) => expect(chunksOf(body).every((chunk) => (chunk['choices'] as []).length === 0)).toBe(true),
  ],
  'bad-json-line': [
    { kind: 'bad-json-line', afterChunks: 1 },
    ({ body }) => {
      const lines = body.split('\n').filter((line) => line.startsWith('data: {'));
      expect(lines.filter((line) => !parses(line.slice(6)))).toHaveLength(1);
    },
  ],
  'truncated-line': [
    { kind: 'truncated-line', afterChunks: 1 },
    ({ body, end }) => {
      expect(end).toBe('whole');
      expect(parses(body.split('\n').at(-1)?.slice(6) ?? '')).toBe(false);
    },
  ],
  html: [{ kind: 'html' }, ({ status, body }) => expect([status, body.slice(0, 9)]).toEqual([200, '<!doctype'])],
  'json-for-stream': [{ kind: 'json-for-stream' }, ({ body }) => expect(JSON.parse(body)).toHaveProperty('choices')],
  'giant-line': [
    { kind: 'giant-line', bytes: 300_000 },
    ({ body }) => expect(Math.max(...body.split('\n').map((line) => line.length))).toBe(300_006),
  ],
  redirect: [{ kind: 'redirect', location: '/elsewhere' }, ({ status }) => expect(status).toBe(302)],
  gzip: [{ kind: 'gzip' }, ({ body }) => expect(body).toEndWith('data: [DONE]\n\n')],
  'split-writes': [
    { kind: 'split-writes', bytesPerWrite: 50, lineEnding: 'crlf', byteOrderMark: true },
    ({ body }) => {
      expect(body.startsWith('\uFEFFdata: ')).toBe(true);
      expect(body).toEndWith('data: [DONE]\r\n\r\n');
    },
  ],
};

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('a stream meets', () => {
  for (const [kind, [fault, expectation]] of Object.entries(STREAMED)) {
    test(kind, async () => {
      const simulator = await simulate({ kind: 'openai-compatible' });
      await simulator.setFault(fault);
      expectation(await observe(simulator, { stream: true }), simulator);
      await simulator.setFault(null);
      expect((await observe(simulator, { stream: true })).body).toEndWith('data: [DONE]\n\n');
    });
  }

  test('cut: the HTTP body has no end', async () => {
    const simulator = await simulate({ kind: 'openai-compatible' });
    await simulator.setFault({ kind: 'cut', afterChunks: 1 });
    const bytes = await rawChat(simulator, { stream: true });
    expect(contentsOf(bytes)).toHaveLength(1);
    expect(bytes).not.toContain('\r\n0\r\n');
  });

  test('comments-only: comments come for as long as the client stays', async () => {
    const simulator = await simulate({ kind: 'openai-compatible' });
    await simulator.setFault({ kind: 'comments-only', everyMs: 5 });
    const leave = new AbortController();
    const response = await chat(simulator, { stream: true }, { signal: leave.signal });
    let body = '';
    for await (const bytes of response.body ?? []) {
      body += new TextDecoder().decode(bytes);
      if (body.split('\n\n').length > 3) break;
    }
    leave.abort();
    expect(body.replaceAll(': still here\n\n', '')).toBe('');
  });
});

/** Every byte of the answer, as it came. */
function rawChat(simulator: Simulator, body: object): Promise<string> {
  const payload = JSON.stringify({ model: 'sim-model', messages: [{ role: 'user', content: 'hello' }], ...body });
  return new Promise((resolve, reject) => {
    let seen = '';
    const socket = connect(simulator.port, '127.0.0.1', () => {
      const head = `POST ${new URL(chatUrl(simulator)).pathname} HTTP/1.1\r\nhost: x\r\ncontent-length: ${payload.length}\r\n\r\n`;
      socket.write(head + payload);
    });
    socket.on('data', (bytes) => {
      seen += bytes.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(seen));
  });
}

describe('a whole reply meets', () => {
  test('truncated-json', async () => {
    const simulator = await simulate({ kind: 'openai-compatible' });
    await simulator.setFault({ kind: 'truncated-json' });
    const { body, end } = await observe(simulator, {});
    expect([parses(body), end, body.length > 0]).toEqual([false, 'whole', true]);
  });

  test('reset-after-bytes', async () => {
    const simulator = await simulate({ kind: 'openai-compatible' });
    await simulator.setFault({ kind: 'reset-after-bytes', bytes: 20 });
    expect((await observe(simulator, {})).end).toBe('broken');
  });

  test('stream-for-whole', async () => {
    const simulator = await simulate({ kind: 'openai-compatible' });
    await simulator.setFault({ kind: 'stream-for-whole' });
    expect((await observe(simulator, {})).body).toEndWith('data: [DONE]\n\n');
  });

  test('empty and empty-choices', async () => {
    const simulator = await simulate({ kind: 'lm-studio' });
    simulator.faultNext(1, { kind: 'empty' });
    simulator.faultNext(1, { kind: 'empty-choices' });
    expect(await jsonOf(chat(simulator, {}))).toMatchObject({ choices: [{ message: { content: '' } }] });
    expect(await jsonOf(chat(simulator, {}))).toMatchObject({ choices: [] });
    expect(simulator.log.map((entry) => entry.fault)).toEqual(['empty', 'empty-choices']);
  });

  test('slow', async () => {
    const simulator = await simulate({ kind: 'openai-compatible' });
    await simulator.setFault({ kind: 'slow', extraMs: 40 });
    await (await chat(simulator, {})).text();
    const [entry] = simulator.log;
    expect((entry?.endedAtMs ?? 0) - (entry?.startedAtMs ?? 0)).toBeGreaterThanOrEqual(35);
  });

  test('close-after-answer: the idle connection closes without a hint', async () => {
    const simulator = await simulate({ kind: 'openai-compatible' });
    await simulator.setFault({ kind: 'close-after-answer', afterMs: 5 });
    const bytes = await rawChat(simulator, {});
    expect(bytes).toContain('HTTP/1.1 200');
    expect(bytes.toLowerCase()).not.toContain('connection: close');
  });
});

test('every kind of fault is tried by a test of this file', async () => {
  const source = await Bun.file(import.meta.path).text();
  expect(FAULT_KINDS.filter((kind) => !source.includes(`kind: '${kind}'`))).toEqual([]);
});

test('a fault meets inference alone, unless its scope says otherwise', async () => {
  const simulator = await simulate({ kind: 'lm-studio' });
  const listing = async (): Promise<number> => (await fetch(`${simulator.url}/api/v1/models`)).status;
  await simulator.setFault({ kind: 'status', status: 500 });
  expect([await listing(), (await chat(simulator, {})).status]).toEqual([200, 500]);
  await simulator.setFault({ kind: 'status', status: 500, scope: 'listing' });
  expect([await listing(), (await chat(simulator, {})).status]).toEqual([500, 200]);
  await simulator.setFault({ kind: 'status', status: 500, scope: 'all' });
  expect([await listing(), (await chat(simulator, {})).status]).toEqual([500, 500]);
});

describe('the simulator', () => {
  test('notes a client that leaves in the middle, and what it had been sent', async () => {
    const simulator = await simulate({ kind: 'lm-studio', tokensPerSecond: 100, replyTokens: 1000 });
    const leave = new AbortController();
    const response = await chat(simulator, { stream: true }, { signal: leave.signal });
    await response.body?.getReader().read();
    expect(simulator.active()).toBe(1);
    leave.abort();
    while (simulator.active() > 0) await Bun.sleep(1);
    const [entry] = simulator.log;
    expect(entry?.aborted).toBe(true);
    expect(entry?.tokensSent).toBeLessThan(1000);
    expect(entry?.endedAtMs).not.toBeNull();
  });

  test('dies like a process and comes back on the same port', async () => {
    const simulator = await simulate({ kind: 'ollama', tokensPerSecond: 50, replyTokens: 1000 });
    const { port } = simulator;
    const response = await chat(simulator, { stream: true });
    const reading = response.text().then(
      () => 'whole',
      () => 'broken',
    );
    await simulator.kill();
    expect(await reading).toBe('broken');
    expect(simulator.connections()).toBe(0);
    expect(await chat(simulator, {}).catch(() => 'refused')).toBe('refused');
    await simulator.revive();
    simulator.setBehaviour({ tokensPerSecond: Number.POSITIVE_INFINITY });
    expect([(await chat(simulator, {})).status, simulator.port]).toEqual([200, port]);
  });

  test('may depend on the request, and gives way to a fault that is set', async () => {
    const asked: string[] = [];
    const simulator = await simulate({
      kind: 'vllm',
      faultFor: ({ rawBody }) => {
        asked.push(rawBody);
        return rawBody.includes('unlucky') ? { kind: 'status', status: 500 } : null;
      },
    });
    const statusOf = async (content: string) =>
      (await chat(simulator, { messages: [{ role: 'user', content }] })).status;
    expect([await statusOf('lucky'), await statusOf('unlucky')]).toEqual([200, 500]);
    await simulator.setFault({ kind: 'status', status: 429 });
    expect(await statusOf('unlucky')).toBe(429);
    await simulator.setFault(null);
    await fetch(`${simulator.url}/v1/models`);
    expect(asked).toHaveLength(2);
  });

  test('is told with each generation as it arrives, and the record then grows', async () => {
    const seen: [SimulatedRequest, Fault['kind'] | null][] = [];
    const simulator = await simulate({
      kind: 'vllm',
      logLimit: 0,
      onGeneration: (request, fault) => {
        expect(request.endedAtMs).toBeNull();
        seen.push([request, fault?.kind ?? null]);
      },
    });
    simulator.faultNext(1, { kind: 'slow', extraMs: 1 });
    await (await chat(simulator, {})).text();
    await (await chat(simulator, {})).text();
    await fetch(`${simulator.url}/v1/models`);
    expect(seen.map(([{ status }, fault]) => [status, fault])).toEqual([
      [200, 'slow'],
      [200, null],
    ]);
    expect(simulator.log).toHaveLength(0);
  });

  test('is controlled over HTTP', async () => {
    const simulator = await simulate({ kind: 'openai-compatible' });
    const control = (method: string, path: string, body?: object): Promise<Response> =>
      fetch(`${simulator.url}/_sim/${path}`, { method, body: body === undefined ? null : JSON.stringify(body) });
    await control('POST', 'fault', { kind: 'status', status: 503, times: 1 });
    expect([(await chat(simulator, {})).status, (await chat(simulator, {})).status]).toEqual([503, 200]);
    await control('POST', 'behaviour', { reply: 'set from outside' });
    expect(await (await chat(simulator, {})).text()).toContain('set from outside');
    expect(((await jsonOf(control('GET', 'log')))['requests'] as unknown[]).length).toBe(3);
    expect(await jsonOf(control('POST', 'fault', { kind: 'reset' }))).toEqual({
      error: 'kind "reset" needs "afterChunks", a number; seen: undefined',
    });
    expect((await control('POST', 'behaviour', { speed: 1 })).status).toBe(400);
    expect((await control('POST', 'fault', { kind: 'refuse' })).status).toBe(400);
    await control('POST', 'kill', { forMs: 30 });
    while (simulator.connections() > 0) await Bun.sleep(1);
    let status = 0;
    while (status === 0)
      status = await chat(simulator, {}).then(
        (reply) => reply.status,
        () => 0,
      );
    expect(status).toBe(200);
  });
});
