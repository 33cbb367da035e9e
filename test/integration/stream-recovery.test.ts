import { describe, expect, test } from 'bun:test';
import OpenAI from 'openai';
import type { Fault, SimulatorKind, SimulatorOptions } from '../../simulators/index.ts';
import { createAdapters } from '../../src/adapters/index.ts';
import { FREE } from '../../src/core/billing.ts';
import { ANYONE } from '../../src/core/caller.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { NO_PROMPT } from '../../src/core/prompt.ts';
import { Secret } from '../../src/core/secret.ts';
import type { Target } from '../../src/core/target.ts';
import { HealthProber } from '../../src/router/health.ts';
import { SlotTable } from '../../src/router/load.ts';
import { Engine } from '../../src/router/serve.ts';
import { TargetDirectory } from '../../src/router/targets.ts';
import { systemClock } from '../../src/system-clock.ts';
import { faultParts } from '../support/fault-parts.ts';
import { contentOf, readEvents, targetFor, until } from '../support/gateway.ts';
import { inference, servedBy } from '../support/running.ts';

const { simulator, gateway } = faultParts();

const TEXT = Array.from({ length: 30 }, (_, word) => `word${word}`).join(' ');
const QUICK = { firstByteMs: 800, firstTokenMs: 800, idleMs: 600 };
const ask = (more: object = {}) => ({ stream: true, messages: [{ role: 'user', content: 'tell me' }], ...more });

const nothing = (): void => undefined;
const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing };

type Change = NonNullable<Parameters<typeof gateway>[1]>;

/** A first server that is asked first, and others that can go on where it broke. */
async function fleet(
  fault: Fault,
  kinds: readonly SimulatorKind[],
  change: Change = {},
  behaviour: Partial<SimulatorOptions> = {},
  firstTokenMs = QUICK.firstTokenMs,
) {
  const first = await simulator({ kind: 'lm-studio', reply: TEXT });
  const others = await Promise.all(
    kinds.map((kind, index) => simulator({ kind, reply: TEXT, name: `${kind}-${index}`, ...behaviour })),
  );
  await first.setFault(fault);
  const quick = targetFor(first);
  const targets = [
    { ...quick, clocks: { ...quick.clocks, ...QUICK } },
    ...others.map((other, index) => {
      const target = targetFor(other, { id: `other-${index}`, place: 'local' });
      return { ...target, clocks: { ...target.clocks, ...QUICK, firstByteMs: firstTokenMs, firstTokenMs } };
    }),
  ];
  const started = await gateway(targets, { streamRecovery: true, ...change });
  return { first, others, ...started };
}

/** The engine over real adapters, without the HTTP server in front. */
async function engineFor(targets: readonly Target[], record: (outcome: Outcome) => void): Promise<Engine> {
  const clock = systemClock;
  const directory = new TargetDirectory(createAdapters({ clock }), clock);
  for (const target of targets) directory.put(target);
  const prober = new HealthProber(directory, clock, SILENT, { intervalMs: 600_000 });
  prober.start();
  await prober.firstRound(2_000);
  prober.stop();
  return new Engine(
    {
      directory,
      prober,
      slots: new SlotTable(clock, directory, 16),
      clock,
      billing: FREE,
      logger: SILENT,
      sink: { record },
    },
    {
      aliases: new Map(),
      defaultModel: null,
      standIn: 'always',
      strategy: 'local-first',
      streamRecovery: true,
      maxFirstTokenMs: null,
      maxRetries: 3,
      retryDelayMs: 10,
      queueTimeoutMs: 2_000,
      cancelGraceMs: 0,
      requestTimeoutMs: 10_000,
      firstRoundMs: 0,
      clientStallMs: 60_000,
      keepBodies: false,
    },
  );
}

const BROKEN: Fault = { kind: 'reset', afterChunks: 7 };

const FAULTS: readonly [string, Fault][] = [
  ['a clean end without the end marker', { kind: 'clean-end', afterChunks: 7 }],
  ['a stall', { kind: 'stall', afterChunks: 7 }],
  ['an error event', { kind: 'error-in-stream', afterChunks: 7 }],
  ['a line that is not JSON', { kind: 'bad-json-line', afterChunks: 7 }],
];

const CONTINUING = ['llama-cpp', 'vllm', 'sglang', 'ollama', 'lm-studio'] as const;

const CASES: readonly [string, Fault, SimulatorKind][] = [
  ...CONTINUING.map((kind): [string, Fault, SimulatorKind] => ['a reset', BROKEN, kind]),
  ...FAULTS.map(([name, fault]): [string, Fault, SimulatorKind] => [name, fault, 'llama-cpp']),
];

describe('with stream_recovery: continue', () => {
  for (const [name, fault, kind] of CASES) {
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

  for (const echoesBeginning of [false, true]) {
    const manner = echoesBeginning ? 'says the beginning once more' : 'gives the rest alone';
    test(`after whichever word the answer breaks it is whole at the end, from a server that ${manner}`, async () => {
      for (let afterChunks = 1; afterChunks <= 30; afterChunks++) {
        const { chat, outcomes } = await fleet({ kind: 'reset', afterChunks }, ['llama-cpp'], {}, { echoesBeginning });
        const events = await readEvents(await chat(ask()));
        // A few words once more may be an echo or new: nothing is continued rather than guessed.
        // A reset may overtake the words before it: then nothing had come, and the failure is simply hidden.
        const nothingCame = outcomes[0]?.attempts[0]?.firstContentMs === null;
        const sure = nothingCame || !echoesBeginning || TEXT.split(' ').slice(0, afterChunks).join(' ').length >= 32;
        const sent = TEXT.match(/\S+\s*/g)?.slice(0, afterChunks);
        expect([afterChunks, contentOf(events)]).toEqual([afterChunks, sure ? TEXT : (sent?.join('') ?? '')]);
        expect(events.at(-1) === '[DONE]').toBe(sure);
        expect(outcomes.map(({ kind }) => kind)).toEqual([sure ? 'served' : 'cut']);
      }
    }, 30_000);
  }

  test('a server that gives the rest as a whole reply, its beginning included, is joined too', async () => {
    const { others, chat } = await fleet(BROKEN, ['llama-cpp'], {}, { echoesBeginning: true });
    await others[0]?.setFault({ kind: 'json-for-stream' });
    const events = await readEvents(await chat(ask()));
    expect([contentOf(events), events.at(-1)]).toEqual([TEXT, '[DONE]']);
  });

  test('a client that asked for the beginning once more (`echo`) does not get it twice', async () => {
    const { others, chat } = await fleet(BROKEN, ['vllm']);
    expect(contentOf(await readEvents(await chat(ask({ echo: true }))))).toBe(TEXT);
    expect(inference(others[0] as never)[0]?.body).toMatchObject({ continue_final_message: true, echo: false });
  });

  test('a server that refuses to go on is passed over, and stays in rotation', async () => {
    const { others, chat, outcomes, gateway: started } = await fleet(BROKEN, ['llama-cpp', 'vllm']);
    const message = 'Assistant response prefill is incompatible with enable_thinking.';
    await others[0]?.setFault({ kind: 'status', status: 400, body: { error: { code: 400, message } } });
    const asked = [];
    for (let turn = 0; turn < 2; turn++) {
      const events = await readEvents(await chat(ask()));
      expect([contentOf(events), events.at(-1)]).toEqual([TEXT, '[DONE]']);
      asked.push(outcomes[turn]?.attempts.map(({ targetId, failure }) => [targetId, failure]));
    }
    // Whichever is asked first for the rest, the one that refuses never ends the search.
    expect(asked.flat().filter((attempt) => attempt?.[1] === 'rejected')).toContainEqual(['other-0', 'rejected']);
    expect(started.targets()[1]?.health).toBe('up');
  });

  test('when the second server breaks too, a third goes on', async () => {
    const { others, chat } = await fleet({ kind: 'cut', afterChunks: 5 }, ['llama-cpp', 'vllm']);
    for (const other of others) other.faultNext(1, { kind: 'cut', afterChunks: 5 });
    await others[1]?.setFault(null);
    const events = await readEvents(await chat(ask()));
    expect([contentOf(events), events.at(-1)]).toEqual([TEXT, '[DONE]']);
  });

  test('when all that could go on break before a word, the client gets the first failure and no word twice', async () => {
    const { others, chat, outcomes } = await fleet({ kind: 'clean-end', afterChunks: 7 }, ['llama-cpp', 'vllm']);
    for (const other of others) await other.setFault({ kind: 'status', status: 500 });
    const events = await readEvents(await chat(ask()));
    expect(contentOf(events)).toBe(`${TEXT.split(' ').slice(0, 7).join(' ')} `);
    expect(events.at(-1)).toMatchObject({ error: { code: 'upstream_truncated' } });
    expect(outcomes.map(({ kind }) => kind)).toEqual(['cut']);
    expect(outcomes[0]?.attempts.map(({ targetId }) => targetId).sort()).toEqual(['lmstudio', 'other-0', 'other-1']);
    expect((outcomes[0] as { by: { targetId: string } }).by.targetId).toBe('lmstudio');
  });

  test('no more servers are asked than SWARMROUTER_MAX_RETRIES allows', async () => {
    const { others, chat, outcomes } = await fleet(BROKEN, ['llama-cpp', 'vllm'], { maxRetries: 1 });
    for (const other of others) await other.setFault({ kind: 'status', status: 500 });
    expect((await readEvents(await chat(ask()))).at(-1)).toMatchObject({ error: expect.anything() });
    expect(outcomes[0]?.attempts.length).toBe(2);
  });

  test('servers that cannot be reached do not count there either', async () => {
    const studio = (name: string) => simulator({ kind: 'lm-studio', name, reply: TEXT });
    const [off, off2, breaks] = [await studio('off'), await studio('off2'), await studio('breaks')];
    const whole = await simulator({ kind: 'llama-cpp', reply: TEXT });
    await breaks.setFault(BROKEN);
    const targets = [off, off2, breaks].map((server, at) => targetFor(server, { id: `s${at}` }));
    const started = await gateway([...targets, targetFor(whole)], {
      streamRecovery: true,
      maxRetries: 1,
      probeIntervalMs: 60_000,
    });
    await off.kill();
    await off2.kill();
    const events = await readEvents(await started.chat(ask()));
    const [outcome] = started.outcomes;
    expect(outcome?.attempts.map(({ targetId }) => targetId)).toEqual(['s0', 's1', 's2', 'llamacpp']);
    expect(contentOf(events)).toBe(TEXT);
  });

  test('the usage counts the whole answer as completion', async () => {
    const { chat } = await fleet(BROKEN, ['llama-cpp']);
    const events = await readEvents(await chat(ask({ stream_options: { include_usage: true } })));
    expect(events.at(-2)).toMatchObject({ usage: { prompt_tokens: 2, completion_tokens: 30, total_tokens: 32 } });
  });

  test('a key that a broken server repeats is in no record', async () => {
    const key = 'never-to-be-seen-0123456789';
    const first = await simulator({ kind: 'lm-studio', reply: TEXT });
    const other = await simulator({ kind: 'vllm', reply: TEXT });
    const error = { error: { message: `the key ${key} went stale`, code: 500 } };
    await first.setFault({ kind: 'error-in-stream', afterChunks: 7, error });
    const {
      chat,
      outcomes,
      gateway: started,
    } = await gateway([targetFor(first, { apiKey: new Secret(key) }), targetFor(other)], { streamRecovery: true });
    expect(contentOf(await readEvents(await chat(ask())))).toBe(TEXT);
    expect(outcomes[0]?.attempts[0]?.failureMessage).toContain('[secret] went stale');
    expect(JSON.stringify([outcomes[0]?.attempts, started.targets().map(({ stats }) => stats)])).not.toContain(key);
  });

  test('a gateway that shuts down gives the answer to nobody else', async () => {
    const {
      first,
      others,
      chat,
      outcomes,
      gateway: started,
    } = await fleet({ kind: 'slow', extraMs: 0 }, ['llama-cpp']);
    first.setBehaviour({ tokensPerSecond: 50 });
    const events = readEvents(await chat(ask()));
    expect(await started.stop(50)).toBe(false);
    expect((await events).at(-1)).toMatchObject({ error: { message: expect.stringContaining('shutting down') } });
    expect(inference(others[0] as never)).toEqual([]);
    expect(outcomes[0]?.attempts.length).toBe(1);
  });

  test('the official client reads one answer', async () => {
    const { url } = await fleet(BROKEN, ['llama-cpp']);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused' });
    const stream = client.chat.completions.stream({ model: 'auto', messages: [{ role: 'user', content: 'tell me' }] });
    expect(await stream.finalContent()).toBe(TEXT);
  });

  test('the token limit counts over the parts', async () => {
    const { others, chat } = await fleet(BROKEN, ['llama-cpp']);
    const events = await readEvents(await chat(ask({ max_tokens: 12 })));
    expect(contentOf(events).trim().split(' ').length).toBe(12);
    expect(inference(others[0] as never)[0]?.body).toMatchObject({ max_tokens: 5 });
  });

  for (const kind of ['openai-compatible', 'openrouter'] as const) {
    test(`${kind}, which may begin a new answer instead, is not asked; the error event stands`, async () => {
      const { others, chat } = await fleet(BROKEN, [kind]);
      const events = await readEvents(await chat(ask()));
      expect(events.at(-1)).toMatchObject({ error: { code: expect.stringContaining('upstream_') } });
      expect(inference(others[0] as never)).toEqual([]);
    });
  }

  test('a target may say for itself whether it goes on (`continues_answers`)', async () => {
    const first = await simulator({ kind: 'lm-studio', reply: TEXT });
    const able = await simulator({ kind: 'llama-cpp', reply: TEXT });
    await first.setFault(BROKEN);
    const behindAnotherName = targetFor(able, { kind: 'openai-compatible', id: 'able', place: 'local' });
    for (const continuesAnswers of [true, false]) {
      const targets = [targetFor(first), { ...behindAnotherName, continuesAnswers }];
      const { chat } = await gateway(targets, { streamRecovery: true });
      const events = await readEvents(await chat(ask()));
      expect([continuesAnswers, events.at(-1) === '[DONE]']).toEqual([continuesAnswers, continuesAnswers]);
    }
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
    const { first, others, chat, outcomes, gateway: started } = await fleet(BROKEN, ['llama-cpp']);
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

  test('the rest must begin within the request limit too; else the first failure stands', async () => {
    const { others, chat, outcomes } = await fleet(BROKEN, ['llama-cpp'], { requestTimeoutMs: 200 }, {}, 5_000);
    await others[0]?.setFault({ kind: 'hang' });
    const events = await readEvents(await chat(ask()));
    expect(events.at(-1)).toMatchObject({ error: { code: 'upstream_truncated' } });
    expect(outcomes[0]?.attempts[1]?.failureMessage).toBe('the reply did not begin within 0.2 s');
  });

  test('a stream that is given up while the rest is being found gives that up too, whoever tells it first', async () => {
    const first = await simulator({ kind: 'lm-studio', reply: TEXT });
    const other = await simulator({ kind: 'llama-cpp', reply: TEXT });
    await first.setFault(BROKEN);
    await other.setFault({ kind: 'hang' });
    const outcomes: Outcome[] = [];
    const engine = await engineFor([targetFor(first), targetFor(other)], (outcome) => outcomes.push(outcome));
    // Its client's signal never fires.
    const body = ask();
    const result = await engine.serve({
      id: 'given-up',
      operation: 'chat',
      requestedModel: '',
      stream: true,
      includeUsage: false,
      rawBody: new TextEncoder().encode(JSON.stringify(body)),
      body,
      fence: { place: null, strictModel: false, route: null, maxFirstTokenMs: null },
      prompt: NO_PROMPT,
      continues: false,
      hops: 0,
      traceparent: null,
      caller: ANYONE,
      rateLease: null,
      clientSignal: new AbortController().signal,
      acceptedAtMs: systemClock.nowMs(),
    });
    if (result.kind !== 'stream') throw new Error(`not a stream: ${result.kind}`);
    const { stream } = result;
    const reading = (async () => {
      while ((await stream.next()) !== null);
    })().catch((error: unknown) => error);
    await until('the second one has it', () => other.active() === 1);
    stream.cancel();
    await until('the second one is let go', () => other.active() === 0, 1_000);
    await reading;
    expect(outcomes.map(({ kind }) => kind)).toEqual(['abandoned']);
  });

  test('off, which is the default, the answer ends with its error event', async () => {
    const { others, chat } = await fleet(BROKEN, ['llama-cpp'], { streamRecovery: false });
    const events = await readEvents(await chat(ask()));
    expect(events.at(-1)).toMatchObject({ error: { code: expect.any(String) } });
    expect(inference(others[0] as never)).toEqual([]);
  });

  test('a route may ask for it, and only its requests get it', async () => {
    const first = await simulator({ kind: 'lm-studio', reply: TEXT });
    const other = await simulator({ kind: 'vllm', reply: TEXT });
    await first.setFault({ kind: 'reset', afterChunks: 7 });
    const routes = new Map([
      ['sturdy', { name: 'sturdy', strategy: 'local-first', streamRecovery: true, maxFirstTokenMs: null }],
    ]);
    const { chat } = await gateway([targetFor(first), targetFor(other)], { routes });
    const sturdy = await chat(ask(), { headers: { 'x-swarmrouter-route': 'sturdy' } });
    expect((await readEvents(sturdy)).at(-1)).toBe('[DONE]');
    const plain = await chat({ ...ask(), model: 'lmstudio/auto' });
    expect((await readEvents(plain)).at(-1)).not.toBe('[DONE]');
    const unknown = await chat(ask(), { headers: { 'x-swarmrouter-route': 'sturdier' } });
    expect([unknown.status, (await unknown.json()).error.message]).toEqual([400, expect.stringContaining('sturdy')]);
  });
});
