import { describe, expect, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFailureText } from './start-failure.ts';

const SETTINGS = { port: 80, host: '127.0.0.1', dataDir: '/var/lib/swarm' };
const fault = (code: string, path?: string) =>
  Object.assign(new Error(`${code}: something`), { code, ...(path === undefined ? {} : { path }) });

describe('a start that fails', () => {
  test('for its data folder names the setting, its value and the fix', () => {
    for (const path of ['/var/lib/swarm', '/var/lib/swarm/overflow-providers.json', '/var/lib']) {
      const text = startFailureText(fault('ENOTDIR', path), SETTINGS);
      expect(text).toContain(`a part of its path is a file, not a folder (at ${path}). `);
      expect(text).toContain('SWARMROUTER_DATA_DIR is /var/lib/swarm: it should be a folder');
    }
    const odd = startFailureText(fault('EWHATEVER', '/var/lib/swarm/x'), SETTINGS);
    expect(odd).toContain('the data folder cannot be used: EWHATEVER: something');
  });

  test('for its port, or for another file, is not blamed on the data folder', () => {
    expect(startFailureText(fault('EACCES'), SETTINGS)).toStartWith('port 80 needs more rights.');
    expect(startFailureText(fault('EADDRINUSE'), SETTINGS)).toStartWith('port 80 on 127.0.0.1 is in use.');
    expect(startFailureText(fault('ENOENT', '/var/library/x'), SETTINGS)).toBe('ENOENT: something');
    expect(startFailureText('broken', SETTINGS)).toBe('broken');
  });
});

test('the executable says so, too, when a file is where its data folder should be', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'swarmrouter-start-'));
  const file = join(folder, 'file');
  await writeFile(file, '');
  try {
    for (const dataDir of [file, join(file, 'below')]) {
      const started = Bun.spawn([process.execPath, join(import.meta.dir, 'cli', 'index.ts'), 'start'], {
        ...{ cwd: folder, stdout: 'pipe', stderr: 'pipe' },
        env: { PATH: process.env['PATH'] ?? '', HOME: folder, SWARMROUTER_DATA_DIR: dataDir, SWARMROUTER_PORT: '0' },
      });
      const [error, code] = await Promise.all([new Response(started.stderr).text(), started.exited]);
      expect(code).toBe(1);
      expect(error).toContain(`SWARMROUTER_DATA_DIR is ${dataDir}: it should be a folder`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
