import { describe, expect, test } from 'bun:test';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testClocks } from '../support/fleet.ts';
import { type TestGateway, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const PATIENT = { queueTimeoutMs: 20_000, requestTimeoutMs: 30_000 };
const CLOUD_MODEL = 'openai/gpt-4o-mini';

const words = (count: number) => Array.from({ length: count }, (_, at) => `word${at % 10}`).join(' ');
const ask = (model: string, content = 'hi', more: object = {}) => ({
  model,
  messages: [{ role: 'user', content }],
  ...more,
});

async function explain({ url, adminKey }: TestGateway, body: object, headers: Record<string, string> = {}) {
  const reply = await fetch(`${url}/admin/explain`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${adminKey}`, ...headers },
    body: JSON.stringify(body),
  });
  return (await reply.json()) as {
    steps: { target: string; waits: boolean; cached_tokens_estimate: number; reason: string }[];
    left_out: { target: string; reason: string }[];
  };
}

describe('a model on disk', () => {
  test('is loaded once for 50 requests that come at once, and all are answered', async () => {
    const studio = await simulator({
      kind: 'lm-studio',
      models: [{ id: 'big', state: 'on-disk' }],
      loadMs: 300,
    });
    const { chat } = await gateway([targetFor(studio)], PATIENT);
    const replies = await Promise.all(Array.from({ length: 50 }, (_, n) => chat(ask('big', `question ${n}`))));
    expect(replies.map(({ status }) => status).filter((status) => status !== 200)).toEqual([]);
    const { loads, askedWhileLoading } = studio.memory();
    expect([loads.get('big'), askedWhileLoading]).toEqual([1, 0]);
  }, 20_000);

  test('is not loaded while the model that would be thrown out is answering; nobody starves', async () => {
    const studio = await simulator({
      kind: 'lm-studio',
      models: [
        { id: 'a', state: 'on-disk' },
        { id: 'b', state: 'on-disk' },
      ],
      loadMs: 50,
      tokensPerSecond: 100,
      replyTokens: 30,
    });
    const { chat } = await gateway([targetFor(studio)], PATIENT);
    expect((await chat(ask('a'))).status).toBe(200);
    await until('it is known that a is loaded', async () => studio.memory().loads.get('a') === 1);
    let stop = false;
    const statuses: number[] = [];
    const crowd = Array.from({ length: 3 }, async () => {
      while (!stop) statuses.push((await chat(ask('a', 'again'))).status);
    });
    const reply = await chat(ask('b'));
    stop = true;
    await Promise.all(crowd);
    expect([reply.status, reply.headers.get('x-swarmrouter-model')]).toEqual([200, 'b']);
    expect(studio.memory().busyEvictions).toBe(0);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
  }, 30_000);

  test('is not loaded where another node has it in memory', async () => {
    const [first, second] = [
      await simulator({ kind: 'lm-studio', models: [{ id: 'a' }, { id: 'b', state: 'on-disk' }] }),
      await simulator({ kind: 'lm-studio', models: [{ id: 'b' }] }),
    ];
    const { chat } = await gateway([targetFor(first, { id: 'first' }), targetFor(second, { id: 'second' })]);
    for (let n = 0; n < 4; n++) expect(servedBy(await chat(ask('b', `q${n}`)))).toBe('second');
    expect(first.memory().loads.size).toBe(0);
  });
});

describe('a prompt goes only where it can be served', () => {
  test('a long one to the node whose loaded context holds it, and when none does nobody is asked', async () => {
    const small = await simulator({ kind: 'lm-studio', models: [{ id: 'm', contextLength: 500 }] });
    const large = await simulator({ kind: 'lm-studio', models: [{ id: 'm', contextLength: 4_000 }] });
    const started = await gateway([targetFor(small, { id: 'small' }), targetFor(large, { id: 'large' })]);
    for (let n = 0; n < 3; n++) expect(servedBy(await started.chat(ask('m', words(1_500))))).toBe('large');
    expect(inference(small).length).toBe(0);
    const refused = await started.chat(ask('m', words(30_000)));
    const { error } = (await refused.json()) as { error: { code: string; message: string } };
    expect([refused.status, error.code]).toEqual([400, 'context_length_exceeded']);
    expect(error.message).toMatch(/500 tokens of m.*4000 tokens of m/);
    expect(inference(large).length).toBe(3);
  });

  test('images only to models that see', async () => {
    const blind = await simulator({ kind: 'lm-studio', models: [{ id: 'm', vision: false }] });
    const seeing = await simulator({ kind: 'lm-studio', models: [{ id: 'm', vision: true }] });
    const started = await gateway([targetFor(blind, { id: 'blind' }), targetFor(seeing, { id: 'seeing' })]);
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
    const body = { model: 'm', messages: [{ role: 'user', content: [{ type: 'text', text: 'What?' }, image] }] };
    for (let n = 0; n < 3; n++) expect(servedBy(await started.chat(body))).toBe('seeing');
    expect((await explain(started, body)).left_out).toEqual([
      expect.objectContaining({ target: 'blind', reason: 'm cannot see images' }),
    ]);
  });

  test('a whole reply to a prompt that was cut without a word is asked again elsewhere, and the limit is learned', async () => {
    // Its list does not say what it has loaded with.
    const cutter = await simulator({
      kind: 'openai-compatible',
      models: [{ id: 'm', contextLength: 600 }],
      cutsPrompts: true,
    });
    const whole = await simulator({ kind: 'llama-cpp', models: [{ id: 'm', contextLength: 20_000 }] });
    const started = await gateway([
      targetFor(cutter, { id: 'cutter', place: 'local' }),
      targetFor(whole, { id: 'whole' }),
    ]);
    for (let n = 0; n < 4; n++) await started.chat(ask('cutter/m', `${n} ${words(400)}`));
    for (let n = 0; n < 4; n++) await started.chat(ask('whole/m', `${n} ${words(400)}`));
    const outcomes: (string | null)[] = [];
    for (let n = 0; n < 8; n++) outcomes.push(servedBy(await started.chat(ask('m', `${n} ${words(3_000)}`))));
    expect(new Set(outcomes)).toEqual(new Set(['whole']));
    // Twice to the same length: then it is known, and it is not asked any more.
    expect(inference(cutter).length).toBe(4 + 2);
    expect((await explain(started, ask('m', words(3_000)))).left_out[0]?.reason).toContain(
      'does not fit the 600 tokens',
    );
  }, 20_000);
});

describe('conversations', () => {
  test('stay where they are cached, and new ones are spread', async () => {
    const nodes = await Promise.all(
      ['one', 'two'].map(() =>
        simulator({ kind: 'lm-studio', promptTokensPerSecond: 20_000, tokensPerSecond: 2_000, slots: 4 }),
      ),
    );
    const targets = nodes.map((node, at) => targetFor(node, { id: `node-${at}` }));
    const { chat } = await gateway(targets, { probeIntervalMs: 5_000 });
    const homes = new Map<number, string | null>();
    const history = (number: number, turns: number) =>
      Array.from({ length: 2 * turns + 1 }, (_, at) => ({
        role: at % 2 === 0 ? 'user' : 'assistant',
        content: `${number}/${at} ${words(400)}`,
      }));
    for (let turn = 0; turn < 4; turn++) {
      for (let number = 0; number < 4; number++) {
        const reply = await chat({ model: 'sim-model', messages: history(number, turn) });
        const home = servedBy(reply);
        expect([number, turn, home]).toEqual([number, turn, homes.get(number) ?? home]);
        homes.set(number, home);
      }
    }
    expect([...homes.values()].filter((home) => home === 'node-0').length).toBe(2);
  }, 20_000);
});

describe('a limit for the first token', () => {
  test('sends to the cloud at once what no local node can begin in time, and lets others wait for a local slot', async () => {
    const node = await simulator({
      kind: 'lm-studio',
      slots: 1,
      promptTokensPerSecond: 2_000,
      tokensPerSecond: 100,
      replyTokens: 20,
    });
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }] });
    const targets = [targetFor(node, { id: 'node' }), targetFor(cloud, { defaultModel: CLOUD_MODEL })];
    const started = await gateway(targets, { ...PATIENT, probeIntervalMs: 5_000 });
    for (const count of [100, 300, 600, 900])
      expect(servedBy(await started.chat(ask('sim-model', `${count} ${words(count)}`)))).toBe('node');
    const limit = { 'x-swarmrouter-max-first-token-ms': '1000' };
    const late = await started.chat(ask('sim-model', `x ${words(4_000)}`), { headers: limit });
    expect(servedBy(late)).toBe('openrouter');
    expect(late.headers.get('x-swarmrouter-reason')).toMatch(/^overflow: local first token in about (1.[5-9]|2)/);
    // The slot is taken for 0.2 s: without a limit the cloud would serve the second one.
    const [first, second] = await Promise.all([
      started.chat(ask('sim-model', 'y')),
      started.chat(ask('sim-model', 'z'), { headers: limit }),
    ]);
    expect([servedBy(first), servedBy(second)]).toEqual(['node', 'node']);
    const wrong = await started.chat(ask('sim-model'), { headers: { 'x-swarmrouter-max-first-token-ms': 'soon' } });
    expect(wrong.status).toBe(400);
  }, 20_000);
});

test('what was learned outlives a restart', async () => {
  const node = await simulator({ kind: 'lm-studio', promptTokensPerSecond: 5_000, tokensPerSecond: 200 });
  const dataDir = mkdtempSync(join(tmpdir(), 'swarmrouter-learned-'));
  const target = targetFor(node, { id: 'node', clocks: { ...testClocks, firstByteMs: 5_000, firstTokenMs: 5_000 } });
  const before = await gateway([target], { dataDir });
  for (const count of [200, 800, 1_600, 3_000]) await before.chat(ask('sim-model', words(count)));
  const learned = before.gateway.targets()[0]?.learned[0];
  expect(learned?.prefillTokensPerSecond).toBeGreaterThan(1_000);
  await before.stop();
  const after = await gateway([target], { dataDir });
  const again = after.gateway.targets()[0]?.learned[0];
  expect(again?.prefillTokensPerSecond).toBeCloseTo(learned?.prefillTokensPerSecond ?? 0, 0);
  expect([again?.samples, again?.decodeTokensPerSecond]).toEqual([learned?.samples, learned?.decodeTokensPerSecond]);
}, 20_000);
