import { describe, expect, test } from 'bun:test';
import OpenAI from 'openai';
import type { Fault } from '../../simulators/index.ts';
import { contentOf, readEvents, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();

const TEXT = Array.from({ length: 30 }, (_, word) => `word${word}`).join(' ');
const QUICK = { firstByteMs: 300, firstTokenMs: 300, idleMs: 150 };
const ask = (more: object = {}) => ({ stream: true, messages: [{ role: 'user', content: 'tell me' }], ...more });

/** A first server that is asked first, and others that can go on where it broke. */
async function fleet(
  fault: Fault,
  kinds: readonly ('llama-cpp' | 'vllm' | 'sglang' | 'ollama')[],
  streamRecovery = true,
) {
  const first = await simulator({ kind: 'lm-studio', reply: TEXT });
  const others = await Promise.all(
    kinds.map((kind, index) => simulator({ kind, reply: TEXT, name: `${kind}-${index}` })),
  );
  await first.setFault(fault);
  const quick = targetFor(first);
  const targets = [
    { ...quick, clocks: { ...quick.clocks, ...QUICK } },
    ...others.map((other, index) => {
      const target = targetFor(other, { id: `other-${index}` });
      return { ...target, clocks: { ...target.clocks, ...QUICK } };
    }),
  ];
  const started = await gateway(targets, { streamRecovery, probeIntervalMs: 60_000 });
  return { first, others, ...started };
}

const FAULTS: readonly [string, Fault][] = [
  ['a reset', { kind: 'reset', afterChunks: 7 }],
  ['a clean end without the end marker', { kind: 'clean-end', afterChunks: 7 }],
  ['a stall', { kind: 'stall', afterChunks: 7 }],
  ['an error event', { kind: 'error-in-stream', afterChunks: 7 }],
  ['a line that is not JSON', { kind: 'bad-json-line', afterChunks: 7 }],
];

describe('with stream_recovery: continue', () => {
  for (const [name, fault] of FAULTS) {
    for (const kind of ['llama-cpp', 'vllm', 'sglang'] as const) {
      test(`${name}: ${kind} goes on where the first server broke, and the client sees one whole answer`, async () => {
        const { others, chat, outcomes, gateway: started } = await fleet(fault, [kind]);
        const response = await chat(ask());
        expect(servedBy(response)).toBe('lmstudio');
        const events = await readEvents(response);
        expect(contentOf(events)).toBe(TEXT);
        expect(events.at(-1)).toBe('[DONE]');
        const ids = new Set(events.filter((each) => each !== '[DONE]').map((each) => (each as { id: string }).id));
        expect(ids.size).toBe(1);
        expect(outcomes.map(({ kind: how }) => how)).toEqual(['served']);
        expect(outcomes[0]?.attempts.map(({ targetId, failure }) => [targetId, failure !== null])).toEqual([
          ['lmstudio', true],
          ['other-0', false],
        ]);
        expect(others.map((other) => inference(other).length)).toEqual([1]);
        expect(started.targets().map(({ inFlight }) => inFlight)).toEqual([0, 0]);
        expect(started.targets()[0]?.stats.errors).toBe(1);
      });
    }
  }

  test('wherever the answer breaks it is whole at the end', async () => {
    for (let afterChunks = 1; afterChunks <= 30; afterChunks += 3) {
      const { chat } = await fleet({ kind: 'reset', afterChunks }, ['llama-cpp']);
      expect(contentOf(await readEvents(await chat(ask())))).toBe(TEXT);
    }
  }, 20_000);

  test('when the second server breaks too, a third goes on', async () => {
    const { others, chat } = await fleet({ kind: 'cut', afterChunks: 5 }, ['llama-cpp', 'vllm']);
    for (const other of others) other.faultNext(1, { kind: 'cut', afterChunks: 5 });
    await others[1]?.setFault(null);
    const events = await readEvents(await chat(ask()));
    expect([contentOf(events), events.at(-1)]).toEqual([TEXT, '[DONE]']);
  });

  test('the official client reads one answer', async () => {
    const { url } = await fleet({ kind: 'reset', afterChunks: 7 }, ['llama-cpp']);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused' });
    const stream = client.chat.completions.stream({ model: 'auto', messages: [{ role: 'user', content: 'tell me' }] });
    expect(await stream.finalContent()).toBe(TEXT);
  });

  test('the token limit counts over the parts', async () => {
    const { others, chat } = await fleet({ kind: 'reset', afterChunks: 7 }, ['llama-cpp']);
    const events = await readEvents(await chat(ask({ max_tokens: 12 })));
    expect(contentOf(events).trim().split(' ').length).toBe(12);
    expect(inference(others[0] as never)[0]?.body).toMatchObject({ max_tokens: 5 });
  });

  test('servers that begin a new answer instead are not asked; the error event stands', async () => {
    const { others, chat } = await fleet({ kind: 'reset', afterChunks: 7 }, ['ollama']);
    const events = await readEvents(await chat(ask()));
    expect(events.at(-1)).toMatchObject({ error: { code: expect.stringContaining('upstream_') } });
    expect(inference(others[0] as never)).toEqual([]);
  });

  test('a tool call that has begun is never continued', async () => {
    const { others, chat, outcomes } = await fleet({ kind: 'reset', afterChunks: 2 }, ['llama-cpp']);
    const tools = [
      {
        type: 'function',
        function: { name: 'f', parameters: { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] } },
      },
    ];
    const events = await readEvents(await chat(ask({ tools, tool_choice: 'required' })));
    expect(events.at(-1)).toMatchObject({ error: { code: expect.any(String) } });
    expect(inference(others[0] as never)).toEqual([]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['cut']);
  });

  test('a client that leaves while the rest is being found frees everything', async () => {
    const {
      first,
      others,
      chat,
      outcomes,
      gateway: started,
    } = await fleet({ kind: 'reset', afterChunks: 7 }, ['llama-cpp']);
    await others[0]?.setFault({ kind: 'hang' });
    const client = new AbortController();
    const reply = await chat(ask(), { signal: client.signal });
    const reader = reply.body?.getReader();
    await reader?.read();
    await until('the second one has it', () => others[0]?.active() === 1, 5_000);
    client.abort();
    await until(
      'all is free',
      () => started.targets().every(({ inFlight }) => inFlight === 0) && others[0]?.active() === 0,
    );
    await until('it is told', () => outcomes.length === 1);
    expect([outcomes[0]?.kind, first.active()]).toEqual(['abandoned', 0]);
  });

  test('off, which is the default, the answer ends with its error event', async () => {
    const { others, chat } = await fleet({ kind: 'reset', afterChunks: 7 }, ['llama-cpp'], false);
    const events = await readEvents(await chat(ask()));
    expect(events.at(-1)).toMatchObject({ error: { code: expect.any(String) } });
    expect(inference(others[0] as never)).toEqual([]);
  });

  test('a route may ask for it, and only its requests get it', async () => {
    const first = await simulator({ kind: 'lm-studio', reply: TEXT });
    const other = await simulator({ kind: 'vllm', reply: TEXT });
    await first.setFault({ kind: 'reset', afterChunks: 7 });
    const routes = new Map([['sturdy', { name: 'sturdy', strategy: 'local-first', streamRecovery: true }]]);
    const { chat } = await gateway([targetFor(first), targetFor(other)], { routes });
    const sturdy = await chat(ask(), { headers: { 'x-swarmrouter-route': 'sturdy' } });
    expect((await readEvents(sturdy)).at(-1)).toBe('[DONE]');
    expect((await readEvents(await chat(ask()))).at(-1)).not.toBe('[DONE]');
    const unknown = await chat(ask(), { headers: { 'x-swarmrouter-route': 'sturdier' } });
    expect([unknown.status, (await unknown.json()).error.message]).toEqual([400, expect.stringContaining('sturdy')]);
  });
});
