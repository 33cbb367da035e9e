import { afterEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adminCall, bearer } from '../support/admin-client.ts';
import { until } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator } = runningParts();
const root = join(import.meta.dir, '..', '..');
const ADMIN_KEY = 'least-privilege-admin-key';
const STRACE = Bun.which('strace');
if (STRACE === null) console.log('skipped: which connections a start makes, since strace is not installed');

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const run of cleanUp.splice(0).reverse()) run();
});

/** The product in a process of its own, with a umask that would let everybody read. */
function start(environment: Record<string, string>, before: readonly string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-least-'));
  const dataDir = join(folder, 'data');
  const launcher = join(root, 'bin', 'swarmrouter.mjs');
  const child = Bun.spawn({
    cmd: ['sh', '-c', 'umask 000 && exec "$@"', 'sh', ...before, 'node', launcher, 'start'],
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, SWARMROUTER_DATA_DIR: dataDir, ...environment },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  cleanUp.push(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  let told = '';
  void (async () => {
    for await (const piece of child.stderr) told += new TextDecoder().decode(piece);
  })();
  const url = async (): Promise<string> => {
    await until('it listens', () => /listens on http:\/\/\S+/.test(told), 20_000);
    return /listens on (http:\/\/\S+)/.exec(told)?.[1] ?? '';
  };
  return { child, folder, dataDir, url };
}

/** Files and folders below it, with their rights. */
function rightsIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() || entry.isDirectory())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return `${entry.isDirectory() ? 'folder' : 'file'} ${(statSync(path).mode & 0o777).toString(8)} ${path.slice(folder.length + 1)}`;
    });
}

const tooOpen = (rights: readonly string[]): string[] =>
  rights.filter((line) => !line.startsWith('file 600 ') && !line.startsWith('folder 700 '));

describe('S-22 least privilege', () => {
  test.skipIf(process.platform === 'win32')(
    'whatever is kept in the data folder is for its owner alone, whatever is used and whatever the umask',
    async () => {
      const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 8 });
      const { child, dataDir, url } = start({
        ...{ LMSTUDIO_URL: local.baseUrl, SWARMROUTER_ADMIN_KEY: ADMIN_KEY, SWARMROUTER_PORT: '0' },
        ...{ SWARMROUTER_USAGE: 'true', SWARMROUTER_PROBE_INTERVAL: '1' },
      });
      const on = await url();
      const as = bearer(ADMIN_KEY);
      const make = async (path: string, body: object) => {
        const reply = await adminCall(on, 'POST', path, { as, body });
        expect(`${path} ${reply.status}`).toMatch(/ 20\d$/);
        return reply.body;
      };
      await make('/admin/overflow_provider', {
        ...{ type: 'openai-compatible', name: 'box', api_key: 'sk-box-0123456789' },
        ...{ base_url: local.baseUrl, network: 'lan' },
      });
      const { key } = await make('/admin/keys', { name: 'app', budget: { limit_usd: 5, window: 'day' } });
      await make('/admin/users', { name: 'olga', password: 'correct horse battery', grants: [{ role: 'owner' }] });
      await make('/admin/login', { name: 'olga', password: 'correct horse battery' });
      await make('/admin/prices', { model: 'qwen', input_usd_per_mtok: 1, output_usd_per_mtok: 1 });
      for (let turn = 0; turn < 5; turn++) {
        const body = JSON.stringify({ model: 'qwen', messages: [{ role: 'user', content: 'hi' }] });
        const headers = { ...bearer(key), 'content-type': 'application/json' };
        const reply = await fetch(`${on}/v1/chat/completions`, { method: 'POST', headers, body });
        await reply.text();
        expect(reply.status).toBe(200);
      }
      await make('/admin/secrets/rotate', {});
      const running = rightsIn(dataDir);
      expect(tooOpen(running)).toEqual([]);
      child.kill('SIGTERM');
      await child.exited;
      const stopped = rightsIn(dataDir);
      expect(tooOpen(stopped)).toEqual([]);
      expect((statSync(dataDir).mode & 0o777).toString(8)).toBe('700');
      const names = [...running, ...stopped].join('\n');
      for (const name of [
        'swarmrouter.db',
        'swarmrouter.db-wal',
        'journal',
        'key-pepper',
        'master-key',
        'audit-signing-key',
        'overflow-providers.json',
        'learned.json',
      ]) {
        expect(names).toContain(name);
      }
    },
    60_000,
  );

  test.skipIf(STRACE === null)(
    'a start and its probes connect to nothing but this machine while nothing else is configured',
    async () => {
      const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }] });
      const trace = join(mkdtempSync(join(tmpdir(), 'swarmrouter-trace-')), 'connections');
      cleanUp.push(() => rmSync(join(trace, '..'), { recursive: true, force: true }));
      const { child, url } = start(
        {
          ...{ LMSTUDIO_URL: local.baseUrl, SWARMROUTER_ADMIN_KEY: ADMIN_KEY, SWARMROUTER_PORT: '0' },
          ...{ SWARMROUTER_USAGE: 'true', SWARMROUTER_PROBE_INTERVAL: '1' },
        },
        [STRACE ?? '', '-D', '-f', '-qq', '-e', 'trace=connect,sendto,sendmsg', '-o', trace],
      );
      const on = await url();
      await until('it is ready', async () => (await fetch(`${on}/ready`)).status === 200, 20_000);
      await until('it probed again', () => local.log.length > 4, 20_000);
      expect((await adminCall(on, 'GET', '/admin/status', { as: bearer(ADMIN_KEY) })).status).toBe(200);
      child.kill('SIGTERM');
      await child.exited;
      const addresses = [
        ...readFileSync(trace, 'utf8').matchAll(/inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"/g),
      ];
      const reached = new Set(addresses.map(([, four, six]) => four ?? six ?? ''));
      expect(reached.size).toBeGreaterThan(0);
      expect([...reached].filter((address) => !/^(127\.|::1$|::ffff:127\.)/.test(address))).toEqual([]);
    },
    60_000,
  );
});
