import { afterEach } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './gateway.ts';

const root = join(import.meta.dir, '..', '..');

/** Starts the product in processes of its own and ends them after each test. Call it once at the top of a test file. */
export function startedProcesses() {
  const cleanUp: (() => void)[] = [];
  afterEach(() => {
    for (const run of cleanUp.splice(0).reverse()) run();
  });
  return (environment: Record<string, string>, files: Record<string, string> = {}) =>
    start(cleanUp, environment, files);
}

/** `node bin/swarmrouter.mjs start`, as `npm start` runs it, with only the given environment. */
async function start(cleanUp: (() => void)[], environment: Record<string, string>, files: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-process-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const child = Bun.spawn({
    cmd: ['node', join(root, 'bin', 'swarmrouter.mjs'), 'start'],
    cwd: folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      SWARMROUTER_PORT: '0',
      SWARMROUTER_DATA_DIR: join(folder, 'data'),
      ...environment,
    },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  cleanUp.push(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  let told = '';
  const reading = (async () => {
    for await (const bytes of child.stderr) told += new TextDecoder().decode(bytes);
  })();
  const url = async (): Promise<string> => {
    await until('it says where it listens', () => /listens on http:\/\/\S+/.test(told), 10_000);
    return /listens on (http:\/\/\S+)/.exec(told)?.[1] ?? '';
  };
  return { child, folder, url, told: () => told, reading };
}
