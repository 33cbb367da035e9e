import { describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SimulatedModel } from '../../simulators/index.ts';
import { type TestGateway, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const CLOUD_MODEL = 'openai/gpt-4o-mini';
const PATIENT = { queueTimeoutMs: 20_000, requestTimeoutMs: 30_000, cancelGraceMs: 0 };

type Headers = Record<string, string>;
type Message = { readonly role: string; readonly content: string };

const onDisk = (id: string): SimulatedModel => ({ id, state: 'on-disk' });
const words = (count: number, word: string) => Array.from({ length: count }, (_, at) => `${word}${at}`).join(' ');
const says = (content: string): Message => ({ role: 'user', content });
const ask = (model: string, content: string, more: object = {}) => ({ model, messages: [says(content)], ...more });

async function statusOf({ url, adminKey }: TestGateway) {
  const reply = await fetch(`${url}/admin/status`, { headers: { authorization: `Bearer ${adminKey}` } });
  return (await reply.json()) as { targets: { id: string; learned: Record<string, unknown>[] }[] };
}

async function leftOutOf({ url, adminKey }: TestGateway, body: object) {
  const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' };
  const reply = await fetch(`${url}/admin/explain`, { method: 'POST', headers, body: JSON.stringify(body) });
  return ((await reply.json()) as { left_out: { target: string; reason: string }[] }).left_out;
}

/** Streams, for only they tell when a prompt was read. */
async function measure(chat: TestGateway['chat'], model: string, headers: Headers = {}): Promise<void> {
  for (const [at, length] of [40, 120, 250, 400].entries()) {
    await (await chat(ask(model, words(length, `m${at}-`), { stream: true }), { headers })).text();
  }
}

const model = (contextLength: number): SimulatedModel => ({ id: 'm', contextLength });

describe('a model on disk', () => {
  test('is loaded once for 50 requests that come at once, and all are answered', async () => {
    const studio = await simulator({ kind: 'lm-studio', models: [onDisk('big')], loadMs: 300 });
    const { chat } = await gateway([targetFor(studio)], PATIENT);
    const replies = await Promise.all(Array.from({ length: 50 }, (_, at) => chat(ask('big', `question ${at}`))));
    expect(replies.filter(({ status }) => status !== 200)).toEqual([]);
    expect(studio.memory()).toEqual({ loads: { big: 1 }, busyEvictions: 0, copies: 0 });
  }, 20_000);

  test('does not put out another one at work, and comes once that is idle', async () => {
    const studio = await simulator({
      kind: 'lm-studio',
      models: [onDisk('a'), onDisk('b')],
      loadMs: 20,
      replyTokens: 60,
      tokensPerSecond: 100,
    });
    const { chat } = await gateway([targetFor(studio)], PATIENT);
    const running = Array.from({ length: 3 }, async (_, at) =>
      (await chat(ask('a', `q${at}`, { stream: true }))).text(),
    );
    await until('a answers', () => inference(studio).some(({ tokensSent }) => tokensSent > 2));
    const late = await chat(ask('b', 'hello', { stream: true, max_tokens: 3 }));
    expect(await late.text()).toContain('[DONE]');
    for (const text of await Promise.all(running)) expect(text).toContain('[DONE]');
    expect(studio.memory()).toEqual({ loads: { a: 1, b: 1 }, busyEvictions: 0, copies: 0 });
  }, 20_000);

  test('comes within seconds also when requests for the other one keep coming', async () => {
    const studio = await simulator({
      kind: 'lm-studio',
      models: [onDisk('a'), onDisk('b')],
      loadMs: 20,
      replyTokens: 30,
      tokensPerSecond: 100,
    });
    const { chat } = await gateway([targetFor(studio)], PATIENT);
    let goesOn = true;
    const statuses: number[] = [];
    const clients = Array.from({ length: 3 }, async (_, client) => {
      for (let turn = 0; goesOn; turn++) {
        const reply = await chat(ask('a', `client ${client} turn ${turn}`, { stream: true }));
        statuses.push(reply.status);
        expect(await reply.text()).toContain('[DONE]');
      }
    });
    await until('a answers', () => inference(studio).some(({ tokensSent }) => tokensSent > 2));
    const askedAtMs = performance.now();
    const late = await chat(ask('b', 'hello', { max_tokens: 3 }));
    const tookMs = performance.now() - askedAtMs;
    goesOn = false;
    await Promise.all(clients);
    expect([late.status, studio.memory()]).toEqual([
      200,
      { loads: { a: expect.any(Number), b: 1 }, busyEvictions: 0, copies: 0 },
    ]);
    expect(tookMs).toBeLessThan(10_000);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    expect(studio.memory()).toMatchObject({ busyEvictions: 0, copies: 0 });
  }, 30_000);

  test('is asked of another server at once that has it loaded', async () => {
    const speeds = { replyTokens: 100, tokensPerSecond: 100 };
    const one = await simulator({ kind: 'lm-studio', models: [onDisk('a'), onDisk('b')], ...speeds });
    const other = await simulator({ kind: 'lm-studio', models: [{ id: 'b' }] });
    const targets = [targetFor(one, { id: 'one' }), targetFor(other, { id: 'other' })];
    const { chat } = await gateway(targets, PATIENT);
    const running = chat(ask('a', 'hello', { stream: true })).then((reply) => reply.text());
    await until('a answers', () => inference(one).some(({ tokensSent }) => tokensSent > 2));
    const reply = await chat(ask('b', 'hello'));
    expect([reply.status, servedBy(reply)]).toEqual([200, 'other']);
    expect(one.active()).toBe(1);
    expect(await running).toContain('[DONE]');
    expect(one.memory().loads).toEqual({ a: 1 });
  });
});

describe('a prompt that is too long', () => {
  test('goes to the target where it fits', async () => {
    const small = await simulator({ kind: 'lm-studio', models: [model(1_000)] });
    const large = await simulator({ kind: 'llama-cpp', models: [model(8_000)] });
    const { chat } = await gateway([targetFor(small), targetFor(large)]);
    for (let n = 0; n < 4; n++) {
      const reply = await chat(ask('m', words(3_000, `t${n}-`)));
      expect([reply.status, servedBy(reply), reply.headers.get('x-swarmrouter-attempts')]).toEqual([
        200,
        'llamacpp',
        '1',
      ]);
    }
    expect(inference(small)).toEqual([]);
  });

  test('is refused with the limits when it fits nowhere, and no server is asked', async () => {
    const small = await simulator({ kind: 'lm-studio', models: [model(500)] });
    const medium = await simulator({ kind: 'llama-cpp', models: [model(1_000)] });
    const { chat } = await gateway([targetFor(small), targetFor(medium)]);
    const reply = await chat(ask('m', words(3_000, 't')));
    const { error } = (await reply.json()) as { error: { code: string; message: string } };
    expect([reply.status, error.code]).toEqual([400, 'context_length_exceeded']);
    expect(error.message).toMatch(/the 500 tokens of m.*the 1000 tokens of m/);
    expect([...inference(small), ...inference(medium)]).toEqual([]);
  });

  test('loads no model of an Ollama whose file sets a shorter context than the model could hold', async () => {
    const set: SimulatedModel = { ...model(500), state: 'on-disk', setsContextLength: true };
    const small = await simulator({ kind: 'ollama', models: [set], cutsLongPrompts: true });
    const { chat } = await gateway([targetFor(small)]);
    const reply = await chat(ask('m', words(3_000, 't')));
    const { error } = (await reply.json()) as { error: { code: string; message: string } };
    expect([reply.status, error.code]).toEqual([400, 'context_length_exceeded']);
    expect(error.message).toContain('the 500 tokens of m');
    expect(small.memory().loads).toEqual({});
    expect((await chat(ask('m', 'hello'))).status).toBe(200);
  });

  test('is asked again elsewhere when Ollama cut it in silence, and after two cuts Ollama is left out', async () => {
    const cutting = await simulator({
      kind: 'ollama',
      models: [{ id: 'm', contextLength: 1_000, statesContextLength: false }],
      cutsLongPrompts: true,
    });
    const large = await simulator({ kind: 'llama-cpp', models: [model(8_000)], firstTokenMs: 150 });
    const started = await gateway([targetFor(cutting), targetFor(large)], PATIENT);
    // Both are known, and Ollama is the quicker one.
    await measure(started.chat, 'ollama/m');
    await measure(started.chat, 'llamacpp/m');
    cutting.clearLog();
    const long = (n: number) => ask('m', words(4_000, `t${n}-`));
    for (let n = 0; inference(cutting).length < 2 && n < 10; n++) {
      const reply = await started.chat(long(n));
      const { usage } = (await reply.json()) as { usage: { prompt_tokens: number } };
      expect([reply.status, servedBy(reply), usage.prompt_tokens]).toEqual([200, 'llamacpp', 4_000]);
    }
    expect(inference(cutting)).toHaveLength(2);
    const [left] = await leftOutOf(started, long(10));
    expect(left).toMatchObject({
      target: 'ollama',
      reason: expect.stringContaining('does not fit the 1000 tokens of m'),
    });
    for (let n = 11; n < 14; n++) expect(servedBy(await started.chat(long(n)))).toBe('llamacpp');
    expect(inference(cutting)).toHaveLength(2);
    const short = await started.chat(ask('m', 'hello'), { headers: { 'x-swarmrouter-place': 'local' } });
    expect(short.status).toBe(200);
  });
});

test('an answer to a prompt that was cut in silence says so in its record, where nobody else could answer', async () => {
  const cutting = await simulator({
    kind: 'ollama',
    models: [{ id: 'm', contextLength: 1_000, statesContextLength: false }],
    cutsLongPrompts: true,
  });
  const started = await gateway([targetFor(cutting)], PATIENT);
  await measure(started.chat, 'ollama/m');
  const cut = () => started.outcomes.at(-1)?.attempts.at(-1)?.promptCut === true;
  expect(cut()).toBe(false);
  const reply = await started.chat({ ...ask('m', words(4_000, 'x')), stream: true });
  await reply.text();
  expect([reply.status, cut()]).toEqual([200, true]);
});

describe('a good answer is never taken for a cut one', () => {
  const padded = (n: number) => ({ ...ask('m', words(150, `p${n}-`)), metadata: { padding: 'y'.repeat(20_000) } });

  test.each(['llama-cpp', 'lm-studio', 'ollama', 'vllm'] as const)(
    'of %s: padding around short prompts leaves the long ones of others alone',
    async (kind) => {
      const server = await simulator({ kind, models: [model(8_000)] });
      const { chat, outcomes } = await gateway([targetFor(server)], PATIENT);
      for (let n = 0; n < 4; n++) expect((await chat({ ...padded(n), stream: n % 2 === 0 })).status).toBe(200);
      expect((await chat(ask('m', words(2_000, 'x')))).status).toBe(200);
      expect(outcomes.some(({ attempts }) => attempts.some(({ promptCut }) => promptCut === true))).toBe(false);
    },
  );

  test('when its text is escaped JSON of another script', async () => {
    const [one, other] = [await simulator({ kind: 'llama-cpp' }), await simulator({ kind: 'llama-cpp' })];
    const started = await gateway([targetFor(one, { id: 'one' }), targetFor(other, { id: 'other' })], {
      maxRetries: 0,
    });
    const text = JSON.stringify(ask('sim-model', 'привет '.repeat(300)));
    const body = text.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
    const headers = { 'content-type': 'application/json' };
    const reply = await fetch(`${started.url}/v1/chat/completions`, { method: 'POST', headers, body });
    expect([reply.status, reply.headers.get('x-swarmrouter-attempts')]).toEqual([200, '1']);
  });
});

describe('an answer to a part of the prompt is better than none', () => {
  /** The one that cuts is local, so it is asked first whatever the machine does to their speeds; the other one is a provider. */
  async function cuttingAndWhole(settings = {}, secondMs = 2_000) {
    const cutting = await simulator({
      kind: 'ollama',
      models: [{ id: 'm', contextLength: 1_000, statesContextLength: false }],
      cutsLongPrompts: true,
    });
    const second = await simulator({ kind: 'openai-compatible', models: [model(8_000)] });
    const whole = targetFor(second);
    const clocks = { ...whole.clocks, firstByteMs: secondMs, firstTokenMs: secondMs };
    const started = await gateway([targetFor(cutting), { ...whole, clocks }], { ...PATIENT, ...settings });
    return { cutting, second, started };
  }
  const long = ask('m', words(4_000, 'x'));
  const facts = (reply: Response) => [reply.status, servedBy(reply), reply.headers.get('x-swarmrouter-prompt-cut')];

  test('when the server that could read all of it fails', async () => {
    const { second, started } = await cuttingAndWhole();
    await second.setFault({ kind: 'status', status: 500 });
    const reply = await started.chat(long);
    expect(facts(reply)).toEqual([200, 'ollama', 'true']);
    expect(reply.headers.get('x-swarmrouter-attempts')).toBe('2');
    const outcome = started.outcomes.at(-1);
    expect(outcome).toMatchObject({ kind: 'served', by: { targetId: 'ollama', promptCut: true, failure: null } });
    expect(outcome?.attempts.map(({ targetId, failure }) => [targetId, failure])).toEqual([
      ['ollama', null],
      ['openai-compatible', 'failed'],
    ]);
  }, 20_000);

  test('when no attempt is left', async () => {
    const { started } = await cuttingAndWhole({ maxRetries: 0 });
    expect(facts(await started.chat(long))).toEqual([200, 'ollama', 'true']);
  }, 20_000);

  test('when the server that could read all of it does not answer in time', async () => {
    const { second, started } = await cuttingAndWhole({ requestTimeoutMs: 1_200 });
    await second.setFault({ kind: 'hang' });
    expect(facts(await started.chat(long))).toEqual([200, 'ollama', 'true']);
    await until('all slots are free', () => started.gateway.targets().every(({ inFlight }) => inFlight === 0));
  }, 20_000);

  test('also when that server takes much longer than expected: it is not waited for', async () => {
    const { second, started } = await cuttingAndWhole({}, 60_000);
    await second.setFault({ kind: 'hang' });
    expect(facts(await started.chat(long))).toEqual([200, 'ollama', 'true']);
    const failures = started.outcomes.at(-1)?.attempts.map(({ failure }) => failure);
    expect(failures).toEqual([null, 'cancelled']);
    // That says nothing of the one that was not waited for.
    expect(started.gateway.targets().map(({ stats }) => stats.lastError)).toEqual([null, null]);
  }, 20_000);

  test('a server whose answer is kept is not taken to write it still', async () => {
    const { cutting, second, started } = await cuttingAndWhole();
    await second.setFault({ kind: 'hang' });
    const before = inference(cutting).length;
    const kept = started.chat(long);
    await until('the other one is asked', () => inference(second).length > 0);
    expect((await started.chat(ask('ollama/m', 'short'))).status).toBe(200);
    await kept;
    expect(inference(cutting).length).toBe(before + 2);
    expect(started.gateway.targets().find(({ target }) => target.id === 'ollama')?.slots).toBe(1);
  }, 20_000);

  test('and the one to the larger part is handed out', async () => {
    const cutting = (contextLength: number, name: string) =>
      simulator({
        kind: 'ollama',
        name,
        models: [{ id: 'm', contextLength, statesContextLength: false }],
        cutsLongPrompts: true,
      });
    for (const [first, second] of [
      [1_000, 700],
      [700, 1_000],
    ] as const) {
      const servers = [await cutting(first, 'first'), await cutting(second, 'second')] as const;
      const targets = [targetFor(servers[0], { id: 'first' }), targetFor(servers[1], { id: 'second' })];
      const started = await gateway(targets, PATIENT);
      const reply = await started.chat(long);
      expect(facts(reply)).toEqual([200, first > second ? 'first' : 'second', 'true']);
      expect((await reply.json()).usage.prompt_tokens).toBeGreaterThan(800);
      await until('all slots are free', () => started.gateway.targets().every(({ inFlight }) => inFlight === 0));
    }
  }, 20_000);

  test('but a client that leaves meanwhile leaves nothing behind', async () => {
    const { cutting, second, started } = await cuttingAndWhole();
    await second.setFault({ kind: 'hang' });
    const before = [cutting, second].map((server) => inference(server).length);
    const leaving = new AbortController();
    const reply = started.chat(long, { signal: leaving.signal }).catch(() => null);
    await until('both were asked', () =>
      [cutting, second].every((server, at) => inference(server).length > (before[at] ?? 0)),
    );
    leaving.abort();
    await reply;
    await until('all slots are free', () => started.gateway.targets().every(({ inFlight }) => inFlight === 0));
    await until('it is on record', () => started.outcomes.at(-1)?.kind === 'abandoned');
  }, 20_000);

  test('also once its limit is known, when nobody else is there', async () => {
    const { second, started } = await cuttingAndWhole();
    for (const n of [1, 2, 3]) await started.chat(ask('ollama/m', words(4_000, `c${n}-`)));
    const [left] = await leftOutOf(started, long);
    expect(left).toMatchObject({
      target: 'ollama',
      reason: expect.stringContaining('does not fit the 1000 tokens of m'),
    });
    await second.setFault({ kind: 'status', status: 500 });
    expect(facts(await started.chat(long))).toEqual([200, 'ollama', 'true']);
  }, 20_000);
});

test('images go only to models that see', async () => {
  const blind = await simulator({ kind: 'lm-studio', models: [{ id: 'm', vision: false }] });
  const seeing = await simulator({ kind: 'lm-studio', models: [{ id: 'm', vision: true }] });
  const started = await gateway([targetFor(blind, { id: 'blind' }), targetFor(seeing, { id: 'seeing' })]);
  const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
  const body = { model: 'm', messages: [{ role: 'user', content: [{ type: 'text', text: 'What?' }, image] }] };
  for (let n = 0; n < 3; n++) expect(servedBy(await started.chat(body))).toBe('seeing');
  const reasons = started.outcomes.flatMap(({ leftOut }) => leftOut.map(({ targetId, reason }) => [targetId, reason]));
  expect(reasons[0]).toEqual(['blind', 'm cannot see images']);
  const only = await gateway([targetFor(blind, { id: 'blind' })]);
  const refused = await only.chat(body);
  expect([refused.status, (await refused.json()).error.code]).toEqual([400, 'unsupported_capability']);
});

describe('conversations', () => {
  const NODES = ['one', 'two', 'three'];

  /** They write at once: a machine that is busy with tests would make one of them look slower than its equals. */
  async function nodes(slots = 2) {
    const servers = await Promise.all(
      NODES.map(() =>
        simulator({
          kind: 'llama-cpp',
          slots,
          models: [{ id: 'm', contextLength: 100_000 }],
          prefixCache: true,
          // So slow that a busy machine changes it by less than what counts as equal, a tenth.
          prefillTokensPerSecond: 2_000,
          replyTokens: 8,
        }),
      ),
    );
    const targets = servers.map((server, at) => targetFor(server, { id: NODES[at] as string }));
    return { servers, ...(await gateway(targets, PATIENT)) };
  }

  /** Says one more turn; resolves with who answered and what was cached there. */
  async function turn(chat: TestGateway['chat'], messages: Message[], text: string, more: object = {}) {
    messages.push(says(text));
    const reply = await chat({ model: 'm', messages, ...more });
    const body = (await reply.json()) as {
      choices: { message: { content: string } }[];
      usage: { prompt_tokens_details: { cached_tokens: number } };
    };
    messages.push({ role: 'assistant', content: body.choices[0]?.message.content ?? '' });
    return { target: servedBy(reply) ?? '', cached: body.usage.prompt_tokens_details.cached_tokens };
  }

  test('spread over the nodes, and each goes on at the node that holds it', async () => {
    // Each node has room for all: a busy machine may make them look unlike, and so unevenly used.
    const { chat } = await nodes(6);
    const conversations: Message[][] = Array.from({ length: 6 }, () => []);
    const homes: string[] = [];
    for (const [at, messages] of conversations.entries()) {
      homes.push((await turn(chat, messages, words(1_200, `c${at}-`))).target);
    }
    expect(new Set(homes).size).toBeGreaterThan(1);
    for (const round of [1, 2]) {
      for (const [at, messages] of conversations.entries()) {
        const { target, cached } = await turn(chat, messages, `turn ${round} ${words(20, 'x')}`);
        expect([at, target, cached >= 1_200]).toEqual([at, homes[at] as string, true]);
      }
    }
  }, 20_000);

  test('go elsewhere when all slots of their node are taken for long', async () => {
    const { chat, servers } = await nodes();
    const messages: Message[] = [];
    const home = (await turn(chat, messages, words(1_200, 'c'))).target;
    const server = servers[NODES.indexOf(home)];
    if (server === undefined) throw new Error('no such node');
    server.setBehaviour({ replyTokens: 4_000, tokensPerSecond: 200 });
    const leaving = new AbortController();
    const { signal } = leaving;
    const running = ['first', 'second'].map((text) => chat(ask(`${home}/m`, text, { stream: true }), { signal }));
    await until('the home node is full', () => server.active() === 2);
    const startedMs = performance.now();
    const next = await turn(chat, messages, 'go on');
    expect(NODES.filter((name) => name !== home)).toContain(next.target);
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    leaving.abort();
    await Promise.allSettled(running);
  }, 20_000);
});

describe('local and cloud by their speeds', () => {
  async function fleet(local: object, cloud: object) {
    const node = await simulator({
      kind: 'llama-cpp',
      slots: 1,
      models: [{ id: 'm', contextLength: 50_000 }],
      ...local,
    });
    const far = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL, contextLength: 50_000 }], ...cloud });
    const targets = [targetFor(node), targetFor(far, { defaultModel: CLOUD_MODEL })];
    return { node, far, ...(await gateway(targets, PATIENT)) };
  }

  test('with a limit for the first token: what fits waits for a local slot, what does not goes to the cloud at once', async () => {
    const { node, chat } = await fleet({ prefillTokensPerSecond: 2_000, tokensPerSecond: 60, replyTokens: 30 }, {});
    await measure(chat, 'm');
    const limit = (ms: number) => ({ headers: { 'x-swarmrouter-max-first-token-ms': String(ms) } });
    const long = await chat(ask('m', words(6_000, 'long')), limit(1_000));
    expect(servedBy(long)).toBe('openrouter');
    expect(await chat(ask('m', 'hello')).then(servedBy)).toBe('llamacpp');
    const running = chat(ask('m', words(50, 'busy'), { stream: true, max_tokens: 30 })).then((reply) => reply.text());
    await until('the only slot is taken', () => node.active() === 1);
    const short = await chat(ask('m', words(50, 'short')), limit(3_000));
    expect(servedBy(short)).toBe('llamacpp');
    expect(await running).toContain('[DONE]');
  }, 20_000);

  const SLOW = { tokensPerSecond: 50, replyTokens: 25 };
  const QUICK = { tokensPerSecond: 500, replyTokens: 25 };
  for (const [name, local, cloud, expected] of [
    ['the cloud where that writes faster', SLOW, QUICK, 'openrouter'],
    ['the local node where that writes faster', QUICK, SLOW, 'llamacpp'],
  ] as const) {
    test(`strategy fastest picks ${name}`, async () => {
      const { chat } = await fleet(local, cloud);
      await measure(chat, 'm', { 'x-swarmrouter-place': 'local' });
      await measure(chat, 'm', { 'x-swarmrouter-place': 'cloud' });
      for (let n = 0; n < 4; n++) {
        const reply = await chat(ask('m', words(100, `q${n}-`)), { headers: { 'x-swarmrouter-route': 'fastest' } });
        expect([reply.status, servedBy(reply)]).toEqual([200, expected]);
      }
    }, 20_000);
  }
});

describe('what was learned', () => {
  test('outlives a restart of the gateway', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'swarmrouter-learned-'));
    try {
      const node = await simulator({
        kind: 'llama-cpp',
        models: [{ id: 'm' }],
        prefillTokensPerSecond: 2_000,
        tokensPerSecond: 200,
      });
      const before = await gateway([targetFor(node)], { dataDir });
      await measure(before.chat, 'm');
      const speedsOf = async (started: TestGateway) => {
        const [learned] = (await statusOf(started)).targets[0]?.learned ?? [];
        const { prefill_tokens_per_second, decode_tokens_per_second, samples } = learned ?? {};
        return { prefill_tokens_per_second, decode_tokens_per_second, samples };
      };
      const learned = await speedsOf(before);
      expect(Number(learned.prefill_tokens_per_second)).toBeWithin(500, 2_500);
      expect(Number(learned.decode_tokens_per_second)).toBeWithin(50, 250);
      expect(learned.samples).toBe(4);
      await before.stop();
      const after = await gateway([targetFor(node)], { dataDir });
      expect(await speedsOf(after)).toEqual(learned);
      await after.stop();
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  }, 20_000);
});
