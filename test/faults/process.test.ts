import { describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { contentOf, readEvents, until } from '../support/gateway.ts';
import { growthOf } from '../support/memory.ts';
import { inference, servedBy } from '../support/running.ts';
import { startedProcesses } from '../support/started-process.ts';

const parts = faultParts();
const start = startedProcesses();

const ask = (stream = false, content = 'canary:ONE') => ({
  model: 'sim-model',
  stream,
  messages: [{ role: 'user', content }],
});

describe('F-43 a shutdown with two hundred streams of mixed length', () => {
  test('lets those finish that can, tells the others, and blames nobody', async () => {
    const server = await parts.simulator({ kind: 'vllm', slots: 256, tokensPerSecond: 100 });
    const { chat, gateway, outcomes } = await parts.gateway([targetFor(server, { maxConcurrent: 256 })]);
    server.setBehaviour({ replyTokens: 20 });
    const short = await Promise.all(Array.from({ length: 100 }, () => chat(ask(true))));
    server.setBehaviour({ replyTokens: 10_000 });
    const long = await Promise.all(Array.from({ length: 100 }, () => chat(ask(true))));
    const ends = Promise.all([...short, ...long].map(readEvents));
    expect(await gateway.stop(1_500)).toBe(false);
    const last = (await ends).map((events) => events.at(-1));
    expect(last.slice(0, 100)).toEqual(Array(100).fill('[DONE]'));
    for (const event of last.slice(100))
      expect(event).toMatchObject({ error: { message: expect.stringContaining('shutting down') } });
    expect(outcomes.filter(({ kind }) => kind === 'served').length).toBe(100);
    expect(outcomes.filter(({ kind }) => kind === 'cut').length).toBe(100);
    expect(gateway.targets()[0]).toMatchObject({ health: 'up', inFlight: 0, stats: { errors: 0 } });
    await until('the server is let go', () => server.active() === 0);
  }, 20_000);
});

describe('F-46 bodies made to stall the gateway', () => {
  const MEGABYTE = 1_048_576;
  for (const [what, body] of [
    ['ten megabytes of opening brackets', '['.repeat(10 * MEGABYTE)],
    [
      'a deep list in a valid request',
      JSON.stringify(ask()).replace('"canary:ONE"', `${'['.repeat(9_000)}${']'.repeat(9_000)}`),
    ],
    ['objects 100,000 deep', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
    ['a million keys', `{${Array.from({ length: 1_000_000 }, (_, n) => `"k${n}":1`).join(',')}}`],
    ['a million messages', `{"messages":[${'{},'.repeat(1_000_000)}{}]}`],
    ['thirty megabytes of text without end', `{"messages":"${'x'.repeat(30 * MEGABYTE)}`],
    [
      'text that is no UTF-8',
      Buffer.concat([Buffer.from('{"messages":"'), Buffer.alloc(MEGABYTE, 0xff), Buffer.from('"}')]),
    ],
    [
      'an unpaired surrogate and a prototype',
      '{"messages":[{"role":"user","content":"\\ud800"}],"__proto__":{"stream":true},"constructor":{"prototype":{}}}',
    ],
  ] as const) {
    test(`${what}: an answer at once, and others are served meanwhile`, async () => {
      const server = await parts.simulator({ kind: 'vllm' });
      const { chat, url } = await parts.gateway([targetFor(server, { maxConcurrent: 64 })]);
      const malicious = () =>
        fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      const { result, megabytes } = await growthOf(async () => {
        const attacks = Promise.all(Array.from({ length: 5 }, malicious));
        const others = Promise.all(
          Array.from({ length: 20 }, async (_, n) => {
            const startedAtMs = performance.now();
            const response = await chat(ask(n % 2 === 0, `canary:N${n}`));
            const text = await response.text();
            return {
              ok: response.status === 200 && text.includes(`canary:N${n}`),
              tookMs: performance.now() - startedAtMs,
            };
          }),
        );
        return { attacks: await attacks, others: await others };
      });
      const isFine = what.includes('prototype');
      for (const attack of result.attacks) {
        expect(attack.status).toBe(isFine ? 200 : 400);
        if (!isFine) expect((await attack.json()).error.type).toBe('invalid_request_error');
      }
      expect(result.others.filter(({ ok }) => !ok)).toEqual([]);
      expect(Math.max(...result.others.map(({ tookMs }) => tookMs))).toBeLessThan(5_000);
      expect(megabytes).toBeLessThan(1_000);
      expect(({} as Record<string, unknown>)['stream']).toBeUndefined();
      expect(inference(server).length).toBe(isFine ? 25 : 20);
    }, 20_000);
  }
});

describe('F-47 a fault of our own', () => {
  test('in whoever records outcomes fails no request and stops no other record', async () => {
    const server = await parts.simulator({ kind: 'vllm' });
    const { chat, url } = await parts.gateway([targetFor(server)], {
      sink: {
        record: () => {
          throw new Error('the disk is full');
        },
      },
    });
    for (const stream of [false, true]) expect((await chat(ask(stream))).status).toBe(200);
    await until('both are counted all the same', async () =>
      (await (await fetch(`${url}/metrics`)).text()).includes('outcome="served"'),
    );
  });

  for (const [what, fault] of [
    ['an exception that nobody caught', "throw new Error('planted');"],
    ['a rejection that nobody handled', "void Promise.reject(new Error('planted'));"],
  ] as const) {
    test(`${what}: it is told, running streams finish, and the process ends with code 1`, async () => {
      const server = await parts.simulator({ kind: 'vllm', replyTokens: 60, tokensPerSecond: 60 });
      const { child, url, told, folder } = await start(
        { VLLM_URL: server.url, LMSTUDIO_ENABLED: 'false', BUN_OPTIONS: '--preload=./plant.ts' },
        { 'plant.ts': PLANT.replace('FAULT', fault) },
      );
      const response = await fetch(`${await url()}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(ask(true)),
      });
      expect(servedBy(response)).toBe('vllm');
      writeFileSync(join(folder, 'now'), '');
      const events = await readEvents(response);
      expect([contentOf(events).includes('canary:ONE'), events.at(-1)]).toEqual([true, '[DONE]']);
      expect(await child.exited).toBe(1);
      expect(told()).toContain('planted');
    }, 20_000);
  }
});

describe('F-47 whoever reads what the gateway tells people', () => {
  test('may go away: the gateway serves on', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-unread-'));
    const child = Bun.spawn({
      cmd: [process.execPath, join(import.meta.dir, '..', '..', 'src', 'cli', 'index.ts'), 'start'],
      cwd: folder,
      env: {
        PATH: process.env['PATH'],
        SWARMROUTER_PORT: '0',
        SWARMROUTER_DATA_DIR: join(folder, 'data'),
        LMSTUDIO_ENABLED: 'false',
        BUN_CONFIG_MAX_HTTP_REQUESTS: '1000',
      },
      stdout: 'ignore',
      stderr: 'pipe',
    });
    try {
      let told = '';
      // Leaving the loop closes the pipe, and the gateway has more to tell: what it found, and each reload.
      for await (const bytes of child.stderr) {
        told += new TextDecoder().decode(bytes);
        if (/listens on \S+\n/.test(told)) break;
      }
      const url = /listens on (\S+)/.exec(told)?.[1];
      for (let n = 0; n < 5; n++) {
        child.kill('SIGHUP');
        await until('it answers', async () => (await fetch(`${url}/health`)).status === 200);
      }
      expect(child.exitCode).toBeNull();
      child.kill('SIGTERM');
      expect(await child.exited).toBe(0);
    } finally {
      child.kill('SIGKILL');
      await child.exited;
      rmSync(folder, { recursive: true, force: true });
    }
  }, 20_000);
});

/** Runs inside the product's process and goes wrong as soon as the file `now` is there. */
const PLANT = `
import { existsSync } from 'node:fs';
const waiting = setInterval(() => {
  if (!existsSync('now')) return;
  clearInterval(waiting);
  FAULT
}, 10);
`;
