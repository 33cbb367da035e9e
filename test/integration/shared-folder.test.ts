import { afterAll, afterEach, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Subprocess } from 'bun';
import { admin } from '../support/admin-client.ts';
import { until } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { gateway } = runningParts();
const running: Subprocess[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'swarmrouter-shared-'));
  folders.push(folder);
  return folder;
}
const LOCK = 'in-use.lock';
const SHARED = 'another gateway uses the data folder';
const USAGE = { usage: true, logLevel: 'info' } as const;
const logOf = (dataDir: string) => readFile(join(dataDir, 'log.jsonl'), 'utf8').catch(() => '');

test('the second gateway on one SQLite data folder says so at its start, with the folder and what to do', async () => {
  const dataDir = await newFolder();
  const first = await gateway([], { dataDir, ...USAGE });
  expect(await logOf(dataDir)).not.toContain(SHARED);
  await gateway([], { dataDir, ...USAGE });
  await until('it is in the log', async () => (await logOf(dataDir)).includes(`${SHARED} ${dataDir} too.`));
  expect(await logOf(dataDir)).toContain('SWARMROUTER_DATABASE_URL');
  // Both go on.
  expect((await admin(first, 'GET', 'usage')).status).toBe(200);
});

test('one that makes its store only later is told then', async () => {
  const dataDir = await newFolder();
  const [one, other] = [await gateway([], { dataDir, logLevel: 'info' }), await gateway([], { dataDir })];
  await admin(other, 'POST', 'projects', { id: 'web' });
  await admin(one, 'POST', 'projects', { id: 'ops' });
  await until('it is in the log', async () => (await logOf(dataDir)).includes(SHARED));
});

test('after a stop nothing is held, and nothing is left', async () => {
  const dataDir = await newFolder();
  const first = await gateway([], { dataDir, ...USAGE });
  expect(existsSync(join(dataDir, LOCK))).toBe(true);
  await first.stop();
  expect(existsSync(join(dataDir, LOCK))).toBe(false);
  await gateway([], { dataDir, ...USAGE });
  expect(await logOf(dataDir)).not.toContain(SHARED);
});

/** The gateway in a process of its own, without the launcher, which would have it end properly. */
async function startedAlone(dataDir: string) {
  const child = Bun.spawn({
    cmd: [process.execPath, '--no-env-file', join(import.meta.dir, '..', '..', 'src', 'cli', 'index.ts'), 'start'],
    cwd: dataDir,
    env: { SWARMROUTER_PORT: '0', SWARMROUTER_DATA_DIR: dataDir, SWARMROUTER_USAGE: 'true' },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  running.push(child);
  let logged = '';
  const reading = (async () => {
    for await (const bytes of child.stdout) logged += new TextDecoder().decode(bytes);
  })();
  await saysThatItListens(child.stderr);
  return {
    logged: () => logged,
    /** Gives all that it logged; what it had not yet written when it was killed is lost. */
    async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<string> {
      child.kill(signal);
      await reading;
      return logged;
    },
  };
}

async function saysThatItListens(output: ReadableStream<Uint8Array>): Promise<void> {
  let told = '';
  for await (const bytes of output) {
    told += new TextDecoder().decode(bytes);
    if (told.includes('listens on')) return;
  }
  throw new Error(`it ended: ${told}`);
}

test('after a kill the next one starts without a warning; beside one that lives it gets one', async () => {
  const dataDir = await newFolder();
  const first = await startedAlone(dataDir);
  const second = await startedAlone(dataDir);
  await until('it warns', () => second.logged().includes(`${SHARED} ${dataDir} too.`));
  await second.end('SIGKILL');
  await first.end('SIGKILL');
  expect(existsSync(join(dataDir, LOCK))).toBe(true);
  const third = await startedAlone(dataDir);
  expect(await third.end('SIGTERM')).not.toContain(SHARED);
  expect(existsSync(join(dataDir, LOCK))).toBe(false);
});
