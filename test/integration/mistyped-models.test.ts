import { describe, expect, test } from 'bun:test';
import { runProgram } from '../../src/cli/program.ts';
import { recordedTerminal } from '../../src/cli/terminal-fixture.ts';
import { admin } from '../support/admin-client.ts';
import { targetOf } from '../support/fleet.ts';
import { targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();

/** A gateway that has looked for LM Studio on this machine in vain, as most have that use another server. */
async function started() {
  const server = await simulator({ kind: 'ollama', models: [{ id: 'qwen2.5-7b' }, { id: 'phi-4' }] });
  const absent = targetOf({ id: 'lmstudio', kind: 'lm-studio', optional: true });
  const on = await gateway([absent, targetFor(server, { id: 'ollama', kind: 'ollama' })], {
    modelAliases: new Map([['small', 'phi-4']]),
  });
  const run = async (...words: string[]) => {
    const terminal = recordedTerminal({ environment: { SWARMROUTER_ADMIN_KEY: on.adminKey } });
    const code = await runProgram([...words, '--url', on.url], terminal);
    return { code, ...terminal.written() };
  };
  return { on, run };
}

const MEANT = 'No target has the model "qwen2.5-7" now. Did you mean "qwen2.5-7b"?';

describe('a model that no server has', () => {
  test('is pointed out when a budget is made for it, also where a server was looked for in vain', async () => {
    const { run } = await started();
    const made = await run('budgets', 'create', '--model', 'qwen2.5-7', '--budget', '5usd/day');
    expect(made).toMatchObject({ code: 0, out: expect.stringContaining(`Note: ${MEANT} The budget counts once`) });
    expect((await run('budgets', 'create', '--model', 'qwen2.5-7b', '--budget', '5usd/day')).out).not.toContain('Note');
  });

  test('is pointed out when a limit is set for it, but not where clients may ask for that name', async () => {
    const { on, run } = await started();
    const set = await run('limits', 'set', '--model', 'qwen2.5-7', '--rpm', '5');
    expect(set).toMatchObject({ code: 0, out: expect.stringContaining(`Note: ${MEANT} The limit counts once`) });
    for (const name of ['qwen2.5-7b', 'QWEN2.5-7B', 'small', 'ollama/phi-4']) {
      const { body } = await admin(on, 'POST', 'limits', { scope: 'model', name, rpm: 5 });
      expect([name, body.warnings]).toEqual([name, []]);
    }
    const any = await admin(on, 'POST', 'limits', { scope: 'model', name: 'auto', rpm: 5 });
    expect(any.body.warnings).toEqual([expect.stringContaining('counts nothing')]);
    expect((await admin(on, 'POST', 'limits', { scope: 'organisation', rpm: 500 })).body.warnings).toEqual([]);
  });

  test('is pointed out when an alias stands for it, or a price is set for it', async () => {
    const { run } = await started();
    const alias = await run('aliases', 'set', 'gpt-4o', 'qwen2.5-7');
    expect(alias).toMatchObject({ code: 0, out: expect.stringContaining(`Note: ${MEANT} The alias leads there once`) });
    for (const target of ['qwen2.5-7b', 'ollama/phi-4', 'auto']) {
      expect([target, (await run('aliases', 'set', 'x', target)).out]).toEqual([
        target,
        expect.not.stringContaining('Note'),
      ]);
    }
    const price = async (...words: string[]) =>
      (await run('prices', 'set', ...words, '--input', '1', '--output', '1')).out;
    expect(await price('qwen2.5-7')).toContain(`Note: ${MEANT} The price counts once`);
    expect(await price('qwen2.5-7', '--provider', 'ollama')).toContain(`Note: ${MEANT}`);
    expect(await price('qwen2.5-7b')).not.toContain('No target');
    expect(await price('phi-4', '--provider', 'ollama')).not.toContain('No target');
    expect(await price('phi-4', '--provider', 'nobody')).not.toContain('No target has the model');
  });

  test('is pointed out when a key may use it, when it is made and when it is changed', async () => {
    const { on, run } = await started();
    const made = await run('keys', 'create', '--name', 'ann', '--models', 'qwen2.5-7,phi*,nobodys-*,small,auto');
    expect(made.out).toContain(`Note: ${MEANT} The key may use it once`);
    expect(made.out.match(/Note: /g)).toHaveLength(1);
    const changed = await run('keys', 'update', 'ann', '--models', 'lmstudio/phi-4');
    expect(changed.out).toContain('Note: No target has the model "lmstudio/phi-4" now.');
    expect((await run('keys', 'update', 'ann', '--models', 'ollama/phi-4')).out).not.toContain('Note');
    const names = Array.from({ length: 900 }, (_, at) => `nobodys-${at}`);
    const many = await admin(on, 'POST', 'keys', { name: 'ben', allowed_models: names });
    expect([many.status, many.body.warnings.length]).toEqual([201, 6]);
    expect(many.body.warnings[5]).toBe('Nor has any target 895 more of the models.');
  });
});
