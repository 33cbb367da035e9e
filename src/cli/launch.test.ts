import { describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { relaunchCommand } from './launch.ts';

const VARIABLE = 'BUN_CONFIG_MAX_HTTP_REQUESTS';

describe('starting again with the limit on fetches lifted', () => {
  test('a script keeps the options of the runtime, itself and its arguments', () => {
    const command = relaunchCommand({
      environment: { HOME: '/home/ann', UNSET: undefined },
      executable: '/usr/bin/bun',
      arguments: ['/usr/bin/bun', '/srv/src/cli/index.ts', 'start', '--port', '9000'],
      runtimeArguments: ['--no-env-file'],
    });
    expect(command?.arguments).toEqual([
      '/usr/bin/bun',
      '--no-env-file',
      '/srv/src/cli/index.ts',
      'start',
      '--port',
      '9000',
    ]);
    expect(command?.environment).toEqual({ HOME: '/home/ann', [VARIABLE]: '65336' });
  });

  test('the single executable is its own script, on every platform', () => {
    for (const script of [
      '/$bunfs/root/swarmrouter',
      'B:\\~BUN\\root\\swarmrouter.exe',
      'B:/~BUN/root/swarmrouter.exe',
    ]) {
      const started = {
        environment: {},
        executable: '/opt/swarmrouter',
        arguments: ['bun', script, 'check'],
        runtimeArguments: [],
      };
      expect(relaunchCommand(started)?.arguments).toEqual(['/opt/swarmrouter', 'check']);
    }
  });

  test('nothing is started again when the variable is set, whatever it says', () => {
    const started = { executable: 'bun', arguments: ['bun', 'index.ts'], runtimeArguments: [] };
    expect(relaunchCommand({ ...started, environment: { [VARIABLE]: '300' } })).toBeNull();
    expect(relaunchCommand({ ...started, environment: { [VARIABLE]: '' } })).not.toBeNull();
  });

  test('a real process without the variable runs once more, under its own process id, with its arguments', async () => {
    const environment = { ...process.env };
    delete environment[VARIABLE];
    const script = `
      const { relaunchIfNeeded } = await import(${JSON.stringify(join(import.meta.dir, 'launch.ts'))});
      console.log(process.pid, process.env.${VARIABLE} ?? 'unset', process.argv.slice(2).join(' '));
      await relaunchIfNeeded();
      process.exit(7);
    `;
    const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-launch-'));
    const file = join(folder, 'again.ts');
    await Bun.write(file, script);
    const child = Bun.spawn({ cmd: [process.execPath, file, 'one', 'two'], env: environment, stdout: 'pipe' });
    const lines = (await new Response(child.stdout).text()).trim().split('\n');
    expect(await child.exited).toBe(7);
    rmSync(folder, { recursive: true });
    expect(lines).toEqual([`${child.pid} unset one two`, `${child.pid} 65336 one two`]);
  });
});
