import { describe, expect, test } from 'bun:test';
import { runProgram } from '../../src/cli/program.ts';
import { recordedTerminal } from '../../src/cli/terminal-fixture.ts';
import { targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();

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
    expect(rotated).toContain(`The one before, ${opens}`);
    expect((await run('keys show hb')).out).toContain(`old text  ${opens}`);
    await run('keys revoke hb');
    expect((await run('keys show hb')).out).not.toContain('opens the door');
    await run('keys create --name at-once');
    expect((await run('keys rotate at-once --grace 0')).out).not.toContain('opens the door');
  });
});
