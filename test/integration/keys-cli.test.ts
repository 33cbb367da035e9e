import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { runProgram } from '../../src/cli/program.ts';
import { recordedTerminal } from '../../src/cli/terminal-fixture.ts';
import { admin } from '../support/admin-client.ts';
import { targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const cli = join(import.meta.dir, '..', '..', 'src', 'cli', 'index.ts');

/** Runs `swarmrouter <words>` against a gateway of its own. */
async function started() {
  const on = await gateway([targetFor(await simulator({ kind: 'lm-studio' }))]);
  return async (words: string) => {
    const terminal = recordedTerminal({ environment: { SWARMROUTER_ADMIN_KEY: on.adminKey } });
    const code = await runProgram([...words.split(' '), '--url', on.url], terminal);
    return { code, ...terminal.written() };
  };
}

describe('keys on the command line', () => {
  test('show what a key is labelled with, and until when the text before a rotation opens the door', async () => {
    const run = await started();
    await run('keys create --name hb --metadata team=a --metadata cost=7');
    expect((await run('keys show hb')).out).toMatch(/^metadata +team=a, cost=7$/m);
    expect((await run('keys show hb')).out).not.toContain('old text');
    const old = JSON.parse((await run('keys show hb --json')).out).prefix;
    const rotated = (await run('keys rotate hb --grace 3600')).out;
    const opens = `${old} opens the door until `;
    expect(rotated).toContain(`The text before it, ${opens}`);
    expect((await run('keys show hb')).out).toContain(`old text  ${opens}`);
    expect(rotated).not.toContain('Note:');
    const again = (await run('keys rotate hb')).out;
    expect(again).toContain(`Note: The text before that, ${old}, is ended now: at most two texts`);
    expect((await run('keys show hb')).out).not.toContain(opens);
    expect((await run('keys rotate hb --grace 0')).out).toContain('is ended now');
    expect((await run('keys rotate hb --grace 0')).out).not.toContain('is ended now');
    await run('keys revoke hb');
    expect((await run('keys show hb')).out).not.toContain('opens the door');
    expect(await run('keys update hb --owner me')).toMatchObject({
      code: 2,
      error: expect.stringContaining('revoked'),
    });
    await run('keys revoke hb');
    const revocations = JSON.parse((await run('audit --action key.revoke --json')).out).entries;
    expect(revocations).toHaveLength(1);
    await run('keys create --name at-once');
    expect((await run('keys rotate at-once --grace 0')).out).not.toContain('opens the door');
  });

  test('tell the date on which a new key or token ends', async () => {
    const run = await started();
    const key = (await run('keys create --name short --expires 2100-01-31')).out;
    expect(key).toContain('It opens the door until 2100-01-31 00:00:00 UTC.');
    expect((await run('keys update short --expires 2100-02-28')).out).toMatch(/^expires +2100-02-28 00:00:00/m);
    const token = (await run('tokens create --name ci --role auditor --expires 2100-01-31')).out;
    expect(token).toContain('It opens the door until 2100-01-31 00:00:00 UTC.');
    expect((await run('keys create --name no-end')).out).not.toContain('until');
    expect(await run('tokens create --name x --role auditor --expires 30m')).toMatchObject({
      code: 2,
      error: expect.stringContaining('Write 30min for minutes, or 30mo for months.'),
    });
  });

  test('say when the project of a key is new, so that a mistyped one is seen', async () => {
    const run = await started();
    expect((await run('keys create --name a --project wbe')).out).toContain('Note: The project "wbe" is new.');
    expect((await run('keys create --name b --project wbe')).out).not.toContain('Note');
    expect((await run('keys create --name c')).out).not.toContain('Note');
    expect((await run('keys update c --project web')).out).toContain('Note: The project "web" is new.');
    expect((await run('keys update c --project wbe')).out).not.toContain('Note');
  });

  test('make the budgets that a key has soft', async () => {
    const run = await started();
    await run('keys create --name hb --budget 20usd/month --budget 500tokens/day');
    expect((await run('keys update hb --soft')).out).toContain('$0 of $20/month, soft; 0 of 500 tokens/day, soft');
    await run('keys create --name free');
    expect(await run('keys update free --soft')).toMatchObject({
      ...{ code: 2, error: expect.stringContaining('has no budget') },
    });
  });
});

test('an export whose reader has enough ends in silence', async () => {
  const on = await gateway([targetFor(await simulator({ kind: 'lm-studio' }))]);
  await admin(on, 'POST', 'keys', { name: 'ann' });
  const child = Bun.spawn({
    cmd: [process.execPath, '--no-env-file', cli, 'audit', 'export', '--url', on.url],
    env: { SWARMROUTER_ADMIN_KEY: on.adminKey },
    stdout: 'pipe',
    stderr: 'pipe',
  });
  await child.stdout.cancel();
  expect([await new Response(child.stderr).text(), await child.exited]).toEqual(['', 0]);
});
