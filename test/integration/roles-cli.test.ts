import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/cli/program.ts';
import { recordedTerminal } from '../../src/cli/terminal-fixture.ts';
import { type TestGateway, targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
let dataDir: string;
let on: TestGateway;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-roles-cli-'));
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }] });
  on = await gateway([targetFor(local)], { dataDir });
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

/** `typed`: what a person types where a secret is asked for. */
async function run(words: string, { key = on.adminKey, typed = null as string | null } = {}) {
  const terminal = recordedTerminal({ environment: { SWARMROUTER_ADMIN_KEY: key }, directory: dataDir, typed });
  const code = await runProgram([...words.split(' '), '--url', on.url], terminal);
  return { code, ...terminal.written() };
}

describe('the command line', () => {
  test('makes users, shows their roles, and shuts them out; the password is never on the command line', async () => {
    const made = await run('users create --name alice --role member:default', { typed: 'correct horse battery' });
    expect([made.code, made.out]).toEqual([0, expect.stringContaining('Roles: member:default.')]);
    expect((await run('users list')).out).toMatch(/alice +member:default +active/);
    const changed = await run('users update alice --role auditor --disable');
    expect(changed.out).toContain('alice is shut out. Roles: auditor.');
    const untyped = await run('users create --name bob --role admin');
    expect([untyped.code, untyped.error]).toEqual([2, expect.stringContaining('A password is needed')]);
    const nothing = await run('users update alice');
    expect([nothing.code, nothing.error]).toEqual([2, expect.stringContaining('Give --role')]);
    const wrong = await run('users create --name carol --role boss', { typed: 'correct horse battery' });
    expect([wrong.code, wrong.error]).toEqual([2, expect.stringContaining('one of owner, admin, operator')]);
  });

  test('makes tokens that stand in for the admin key as far as their role reaches', async () => {
    const made = await run('tokens create --name ci --role operator --expires 90d --json');
    const { token } = JSON.parse(made.out);
    const who = await run('whoami', { key: token });
    expect(who.out).toContain('ci (token) in the organisation default\nRoles: operator\n');
    expect((await run('keys list', { key: token })).code).toBe(0);
    const refused = await run('keys create --name x', { key: token });
    expect([refused.code, refused.error]).toEqual([1, expect.stringContaining('needs the permission key:write')]);
    expect((await run('tokens revoke ci')).out).toContain('opens nothing any more');
    expect((await run('whoami', { key: token })).code).toBe(1);
    expect((await run('tokens list')).out).toMatch(/ci +operator +revoked +wgl_admin_/);
  });

  test('shows one user, token and budget, as a table and as JSON, and says which there is none of', async () => {
    await run('users create --name alice --role member:default --role auditor', { typed: 'correct horse battery' });
    await run('tokens create --name ci --role operator --expires 2100-01-31');
    const { id } = JSON.parse((await run('budgets create --organisation --budget 20usd/month --soft --json')).out);
    const user = JSON.parse((await run('users show alice --json')).out);
    expect(user).toMatchObject({ name: 'alice', organisation: 'default', oidc: null, revision: 1 });
    const byId = await run(`users show ${user.id}`);
    expect([byId.code, byId.out]).toEqual([0, (await run('users show alice')).out]);
    expect(byId.out).toMatch(/^id +usr_.*\nname +alice\norganisation +default\nroles +member:default, auditor\n/);
    expect(byId.out).toMatch(/\nstate +active\nlogs in with +password\n/);
    const token = await run('tokens show ci');
    expect(token.out).toMatch(/\nroles +operator\nstate +live\ntoken +wgl_admin_.*…/);
    expect(token.out).toMatch(/\nexpires +2100-01-31 /);
    expect(JSON.parse((await run('tokens show ci --json')).out)).toMatchObject({ name: 'ci', state: 'live' });
    const budget = await run(`budgets show ${id}`);
    expect(budget.out).toMatch(/\nfor +organisation\nname +default\nspent +\$0 of \$20\/month, soft\nresets +20/);
    expect(JSON.parse((await run(`budgets show ${id} --json`)).out)).toMatchObject({ id, limit_usd: 20, hard: false });
    const twice = await run('budgets create --organisation --budget 5usd/month');
    expect(twice.error).toContain(`"swarmrouter budgets update ${id}"`);
    for (const words of ['users show bob', 'tokens show bob', 'budgets show bob']) {
      const nobody = await run(words);
      expect([words, nobody.code, nobody.out]).toEqual([words, 1, '']);
      expect(nobody.error).toContain('"bob"');
    }
  });

  test('makes organisations and acts in them, and projects, which it renames', async () => {
    expect((await run('organisations create acme')).out).toContain('--in acme');
    expect((await run('projects create web --in acme')).code).toBe(0);
    expect((await run('projects list --in acme')).out).toContain('web');
    expect((await run('projects list')).out).not.toContain('web');
    expect((await run('projects rename web --name Website --in acme')).out).toContain('is called Website');
    const nowhere = await run('projects list --in nobody');
    expect([nowhere.code, nowhere.error]).toEqual([1, expect.stringContaining('There is no organisation "nobody"')]);
  });

  test('sets limits that several keys share, and says what is missing', async () => {
    const set = await run('limits set --organisation --rpm 600 --tpm none');
    expect(set.out).toBe('Limits of the organisation "default": rpm 600, tpm none, concurrent none.\n');
    expect((await run('limits')).out).toMatch(/organisation +default +600 +- +-/);
    expect((await run('limits set --rpm 1')).error).toContain('one of --organisation, --project ID, --model NAME');
    const lost = await run('limits set --project wbe --rpm 1');
    expect([lost.code, lost.error]).toEqual([2, expect.stringContaining('There is no project "wbe"')]);
    expect((await run('limits remove --organisation')).out).toContain('has no limit any more');
  });
});
