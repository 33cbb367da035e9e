import { afterEach, describe, expect, test } from 'bun:test';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEvents, until } from '../support/gateway.ts';
import { runningParts, servedBy } from '../support/running.ts';
import { startedProcesses } from '../support/started-process.ts';

const { simulator } = runningParts();
const start = startedProcesses();
const root = join(import.meta.dir, '..', '..');
const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const run of cleanUp.splice(0).reverse()) run();
});

const chat = (url: string, stream: boolean) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ stream, messages: [{ role: 'user', content: 'hi' }] }),
  });

function streamOverSocket(port: number) {
  const body = JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'hi' }] });
  let received = '';
  const socket = connect(port, '127.0.0.1', () =>
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    ),
  );
  socket.on('data', (bytes) => {
    received += bytes.toString('latin1');
  });
  socket.on('error', () => undefined);
  return { received: () => received, leave: () => socket.destroy() };
}

describe('npm start', () => {
  test('starts with no settings at all, tells what it found and what to set next', async () => {
    const { url, told } = await start({});
    const health = await fetch(`${await url()}/health`);
    expect([health.status, (await health.json()).version]).toEqual([200, expect.any(String)]);
    await until('the start-up lines', () => told().includes('Next: set OPENROUTER_API_KEY'));
    expect(told()).toContain('Admin key: made now');
  });

  test('the example settings start unedited', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-example-'));
    cleanUp.push(() => rmSync(folder, { recursive: true, force: true }));
    copyFileSync(join(root, '.env.example'), join(folder, '.env'));
    const example = await Bun.file(join(folder, '.env')).text();
    const { url } = await start({}, { '.env': example });
    expect((await fetch(`${await url()}/health`)).status).toBe(200);
  });

  test('reads its configuration anew at SIGHUP, and keeps the old one when the new one is wrong', async () => {
    const server = await simulator({ kind: 'lm-studio' });
    const environment = { LMSTUDIO_ENABLED: 'false' };
    const { child, folder, url, told } = await start(environment, { 'swarmrouter.yaml': 'targets: []\n' });
    const at = await url();
    const file = join(folder, 'swarmrouter.yaml');
    writeFileSync(file, `targets:\n  - { name: box, kind: lmstudio, url: "${server.baseUrl}" }\n`);
    child.kill('SIGHUP');
    await until('it says so', () => told().includes('read anew and is in force'), 5_000);
    expect(servedBy(await chat(at, false))).toBe('box');
    writeFileSync(file, 'max_retries: many\n');
    child.kill('SIGHUP');
    await until('it says what is wrong', () => told().includes('max_retries = "many"'), 5_000);
    expect(servedBy(await chat(at, false))).toBe('box');
  }, 20_000);

  test.skipIf(process.platform === 'win32')(
    'ends when its terminal is closed, which also sends SIGHUP',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-terminal-'));
      let shown = '';
      const child = Bun.spawn({
        cmd: ['node', join(root, 'bin', 'swarmrouter.mjs'), 'start'],
        cwd: folder,
        env: { PATH: process.env['PATH'] ?? '', SWARMROUTER_PORT: '0', SWARMROUTER_DATA_DIR: join(folder, 'data') },
        terminal: {
          data: (_, bytes) => {
            shown += new TextDecoder().decode(bytes);
          },
        },
      });
      cleanUp.push(() => {
        child.kill('SIGKILL');
        rmSync(folder, { recursive: true, force: true });
      });
      const address = /listens on (http:\/\/[\w.:]+)/;
      await until('it says where it listens', () => address.test(shown), 10_000);
      const url = address.exec(shown)?.[1] ?? '';
      child.kill('SIGHUP');
      await until('with its terminal there it reads its configuration anew', () => shown.includes('read anew'), 5_000);
      child.terminal?.close();
      await child.exited;
      await expect(fetch(`${url}/health`)).rejects.toThrow();
    },
    20_000,
  );

  test('bad settings end it with code 2, and every problem is listed', async () => {
    const { child, told, reading } = await start({
      SWARMROUTER_MAX_RETRIES: 'many',
      LMSTUDIO_URL: 'ftp://x',
      SWARMROUTER_PROT: '1',
    });
    expect(await child.exited).toBe(2);
    await reading;
    for (const words of ['SWARMROUTER_MAX_RETRIES', '"many"', 'LMSTUDIO_URL', 'did you mean SWARMROUTER_PORT'])
      expect(told()).toContain(words);
  });

  test('a port that is in use is said in one line with the fix', async () => {
    const taken = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() });
    cleanUp.push(() => void taken.stop(true));
    const { child, told, reading } = await start({ SWARMROUTER_PORT: String(taken.port) });
    expect(await child.exited).toBe(1);
    await reading;
    expect(told()).toContain(`port ${taken.port} on 127.0.0.1 is in use`);
    expect(told()).not.toContain('    at ');
  });

  test('more than 256 streams run at once', async () => {
    const studio = await simulator({ kind: 'lm-studio', slots: 1_000, replyTokens: 10_000, tokensPerSecond: 1 });
    const { url } = await start({ LMSTUDIO_URL: studio.baseUrl, SWARMROUTER_MAX_CONCURRENT: '1000' });
    const { port } = new URL(await url());
    // Plain sockets: under `bun test` the client's own fetch keeps to 256, whatever the environment says.
    const clients = Array.from({ length: 400 }, () => streamOverSocket(Number(port)));
    await until('all of them reached the server', () => studio.active() === 400, 20_000);
    await until(
      'all of them got a first token',
      () => clients.every((client) => client.received().includes('data: {')),
      20_000,
    );
    for (const client of clients) client.leave();
    await until('all of them are gone', () => studio.active() === 0, 10_000);
  }, 60_000);

  test('ends also when its launcher is killed, so that nothing keeps the port', async () => {
    const { child, url } = await start({});
    const address = await url();
    expect((await fetch(`${address}/health`)).status).toBe(200);
    child.kill('SIGKILL');
    await until(
      'nobody listens any more',
      () =>
        fetch(`${address}/health`).then(
          () => false,
          () => true,
        ),
      5_000,
    );
  });

  test('SIGTERM lets a running stream finish, then it exits with code 0', async () => {
    const studio = await simulator({ kind: 'lm-studio', replyTokens: 20, tokensPerSecond: 60 });
    const { child, url } = await start({ LMSTUDIO_URL: studio.baseUrl });
    const response = await chat(await url(), true);
    expect(servedBy(response)).toBe('lmstudio');
    child.kill('SIGTERM');
    const events = await readEvents(response);
    expect(events.at(-1)).toBe('[DONE]');
    expect(await child.exited).toBe(0);
  });
});
