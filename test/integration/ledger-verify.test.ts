import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/cli/program.ts';
import { recordedTerminal } from '../../src/cli/terminal-fixture.ts';
import { Secret } from '../../src/core/secret.ts';
import { admin, bearer } from '../support/admin-client.ts';
import { wholeReply } from '../support/chat-server.ts';
import { type TestGateway, targetFor, until } from '../support/gateway.ts';
import { hurried } from '../support/hurried-clock.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { runningParts } from '../support/running.ts';

const { simulator, chatServer, gateway } = runningParts();
const postgres = await startPostgres();
const folders: string[] = [];
afterAll(async () => {
  await postgres?.stop();
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

const ask = { model: 'qwen', messages: [{ role: 'user', content: 'hello there' }] };
const INVARIANTS = ['I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7', 'I8'];

const verify = (of: TestGateway, key = of.adminKey) =>
  fetch(`${of.url}/admin/ledger/verify`, { headers: { authorization: `Bearer ${key}` } });

/** A gateway that answered a caller with a budget, and one without. */
async function withCalls(change = {}): Promise<TestGateway> {
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 12 });
  const started = await gateway([targetFor(local)], { usage: true, ...change });
  await (await started.chat(ask)).text();
  const body = JSON.stringify({ name: 'ann', budget: { limit_usd: 1, window: 'day', hard: true } });
  const headers = { authorization: `Bearer ${started.adminKey}`, 'content-type': 'application/json' };
  const { key } = await (await fetch(`${started.url}/admin/keys`, { method: 'POST', body, headers })).json();
  await (await started.chat({ ...ask, stream: true }, { headers: { authorization: `Bearer ${key}` } })).text();
  return started;
}

/** Runs `swarmrouter <words>` against this gateway. */
async function run({ url, adminKey }: TestGateway, ...words: string[]) {
  const terminal = recordedTerminal({ environment: { SWARMROUTER_ADMIN_KEY: adminKey } });
  const code = await runProgram([...words, '--url', url], terminal);
  return { code, ...terminal.written() };
}

/** The first reply that is 503; the one at hand after five. */
async function until503(ask: () => Promise<Response>): Promise<Response> {
  let reply = await ask();
  for (let asked = 1; reply.status !== 503 && asked < 5; asked++) reply = await ask();
  return reply;
}

/** As somebody does who can write to the file. */
function meddle({ dataDir }: TestGateway, ...statements: string[]): void {
  const db = new Database(join(dataDir, 'swarmrouter.db'));
  for (const statement of statements) db.run(statement);
  db.close();
}

describe('A-10: the gateway checks its ledger by itself', () => {
  /** Stopped, changed by hand, and started again as after a crash; its first check comes at once. */
  async function afterCrash(...statements: string[]): Promise<TestGateway> {
    const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-check-'));
    folders.push(dataDir);
    const before = await withCalls({ dataDir });
    await before.gateway.stop(1_000);
    meddle(before, ...statements);
    await writeFile(join(dataDir, 'journal', 'ledger-journal-of-the-dead-a.log'), '');
    // A minute passes in 300 ms.
    return gateway([], { dataDir, clock: hurried(200), probeIntervalMs: 600_000, logLevel: 'info' });
  }

  const logOf = async ({ dataDir }: TestGateway) => readFile(join(dataDir, 'log.jsonl'), 'utf8');
  const findings = async ({ url, adminKey }: TestGateway) => {
    const metrics = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${adminKey}` } });
    return (await metrics.text()).split('\n').filter((line) => line.startsWith('swarmrouter_ledger_findings'));
  };

  test('after a crash, and says that all of it agrees', async () => {
    const started = await afterCrash();
    await until('it was checked', async () => (await findings(started)).length === INVARIANTS.length, 15_000);
    expect((await findings(started)).every((line) => line.endsWith(' 0'))).toBe(true);
    await started.gateway.stop(1_000);
    expect(await logOf(started)).toContain('all of it agrees');
  }, 30_000);

  test('and what does not agree is an error in the log, a metric, and an entry of the audit log', async () => {
    const started = await afterCrash('update budget_window set settled = settled + 7');
    await until('it was checked', async () => (await findings(started)).length === INVARIANTS.length, 15_000);
    expect(await findings(started)).toContain('swarmrouter_ledger_findings{invariant="I2"} 1');
    const audit = async () => {
      const headers = { authorization: `Bearer ${started.adminKey}` };
      return (await (await fetch(`${started.url}/admin/audit?action=ledger.*`, { headers })).json()).entries;
    };
    await until('it is on the audit log', async () => (await audit()).length === 1, 15_000);
    expect((await audit())[0]).toMatchObject({
      ...{ action: 'ledger.finding', subject: 'ledger:I2', actor: { kind: 'system', id: 'ledger-check' } },
      after: { findings: 1, subject: expect.stringContaining('budget') },
    });
    await started.gateway.stop(1_000);
    expect(await logOf(started)).toMatch(/"level":"error".*the ledger does not keep I2/);
  }, 30_000);
});

describe('the ledger of a running gateway', () => {
  test('is found sound with all that ended a moment ago, by the API and the command', async () => {
    const started = await withCalls();
    const reply = await verify(started);
    expect(reply.status).toBe(200);
    const verdict = await reply.json();
    expect(verdict).toMatchObject({ ok: true, attempts: 2, budget_parts: 1, budget_windows: 1, waiting: 0 });
    expect(verdict).toMatchObject({ store_problem: null, first_broken: null, findings: [] });
    expect(verdict.invariants.map(({ invariant }: { invariant: string }) => invariant)).toEqual(INVARIANTS);
    expect(verdict.invariants.every(({ ok }: { ok: boolean }) => ok)).toBe(true);
    const { code, out, error } = await run(started, 'ledger', 'verify');
    expect([code, error]).toEqual([0, '']);
    for (const invariant of INVARIANTS) expect(out).toMatch(new RegExp(`^${invariant} .* kept$`, 'm'));
    expect(out).toContain('Looked at: calls 2, their parts in budgets 1, windows of budgets 1.');
    const asJson = await run(started, 'ledger', 'verify', '--json');
    expect([asJson.code, JSON.parse(asJson.out)]).toEqual([0, verdict]);
  });

  test('that somebody wrote in is found so: exit code 1, the first broken invariant and the row', async () => {
    const started = await withCalls();
    // Brings the calls to the file.
    expect(await (await verify(started)).json()).toMatchObject({ ok: true });
    meddle(
      started,
      'drop trigger ledger_attempt_frozen',
      'update ledger_attempt set cost_nano_usd = -1 where key_id is null',
      'update budget_window set settled = settled + 1',
    );
    const verdict = await (await verify(started)).json();
    expect(verdict).toMatchObject({ ok: false, first_broken: { invariant: 'I2', organisation: 'default' } });
    const broken = verdict.invariants.filter(({ ok }: { ok: boolean }) => !ok);
    expect(broken.map(({ invariant }: { invariant: string }) => invariant)).toEqual(['I2', 'I5', 'I8']);
    const today = new Date().toISOString().slice(0, 10);
    const { code, out, error } = await run(started, 'ledger', 'verify');
    expect(code).toBe(1);
    expect(out).toMatch(/^I1 .* kept$/m);
    expect(out).toMatch(/^I2 .* broken: 1$/m);
    expect(error).toMatch(
      new RegExp(`^The ledger does not keep I2: budget \\S+, window from ${today} of organisation default$`, 'm'),
    );
    expect(error).toMatch(/it says reserved 0, settled 1; its calls say reserved 0, settled 0/);
    const asJson = await run(started, 'ledger', 'verify', '--json');
    expect([asJson.code, JSON.parse(asJson.out).findings.length]).toEqual([1, 3]);
  });

  test('is sound where a server charged more than was set aside, and the calls are named', async () => {
    const usage = { prompt_tokens: 5, completion_tokens: 900, total_tokens: 905 };
    const cloud = await chatServer({ models: [{ id: 'dear' }], reply: () => wholeReply('short', usage) });
    const started = await gateway([targetFor({ kind: 'openai-compatible', baseUrl: cloud.baseUrl }, { id: 'cloud' })]);
    await admin(started, 'POST', 'prices', { model: 'dear', input_usd_per_mtok: 1, output_usd_per_mtok: 10 });
    const budget = { limit_usd: 0.0002, window: 'day', hard: true };
    const { body: made } = await admin(started, 'POST', 'keys', { name: 'ann', budget });
    const asked = { model: 'dear', max_tokens: 10, messages: [{ role: 'user', content: 'hi' }] };
    const reply = await started.chat(asked, { headers: bearer(made.key) });
    expect(reply.status).toBe(200);
    await reply.text();
    // 9,005,000 nano-USD where 0.0002 dollars is the limit.
    const [spent] = (await admin(started, 'GET', `keys/${made.id}`)).body.budgets;
    expect(spent.spent_usd).toBe(0.009005);
    const { body: verdict } = await admin(started, 'GET', 'ledger/verify');
    const [named] = verdict.overcharged.listed;
    expect(verdict).toMatchObject({ ok: true, findings: [], overcharged: { calls: 1, excess_tokens: 0, more: false } });
    expect(named).toMatchObject({
      ...{ organisation: 'default', key: made.id, target: 'cloud', model: 'dear' },
      ...{ settled_usd: 0.009005, reserved_tokens: null, settled_tokens: null },
      window_start: `${new Date().toISOString().slice(0, 10)}T00:00:00.000Z`,
    });
    expect(named.reserved_usd).toBeLessThanOrEqual(0.0002);
    expect(verdict.overcharged.excess_usd).toBeCloseTo(named.settled_usd - named.reserved_usd, 9);
    const { code, out, error } = await run(started, 'ledger', 'verify');
    expect([code, error]).toEqual([0, '']);
    expect(out).toMatch(/^Charged above what a hard budget had set aside: calls 1, together \$0\.00\d+ above\.$/m);
    expect(out).toMatch(new RegExp(`^${named.attempt} +cloud +dear +${made.id} +${named.budget} .*\\$0\\.009005`, 'm'));
  });

  test('is there to be checked where usage is not kept any more', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-verify-'));
    try {
      const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }] });
      const before = await gateway([targetFor(local)], { dataDir, usage: true });
      await (await before.chat(ask)).text();
      await before.gateway.stop(0);
      const after = await gateway([targetFor(local)], { dataDir });
      expect(await (await verify(after)).json()).toMatchObject({ ok: true, attempts: 1 });
      await after.gateway.stop(0);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  test('is not there without a store, and whoever asks is told why, and needs the admin key', async () => {
    const started = await gateway([targetFor(await simulator({ kind: 'lm-studio' }))]);
    const reply = await verify(started);
    const { error } = await reply.json();
    expect([reply.status, error.code]).toEqual([404, 'ledger_not_kept']);
    expect(error.message).toContain('SWARMROUTER_USAGE=true');
    expect((await verify(started, 'wrong')).status).toBe(401);
    const { code, error: said } = await run(started, 'ledger', 'verify');
    expect([code, said]).toEqual([1, expect.stringContaining('There is no ledger here')]);
  });

  test.skipIf(postgres === null)('is found sound in PostgreSQL, and unsound where somebody wrote in it', async () => {
    const url = (await postgres?.database()) ?? '';
    const started = await withCalls({ databaseUrl: new Secret(url) });
    expect(await (await verify(started)).json()).toMatchObject({ ok: true, attempts: 2, budget_parts: 1 });
    const database = new Bun.SQL(url);
    await database`delete from budget_window`;
    await database.close();
    const { code, error } = await run(started, 'ledger', 'verify');
    expect([code, error]).toEqual([1, expect.stringContaining('the window is not on record')]);
  });

  test.skipIf(postgres === null)('cannot be checked while PostgreSQL is away, and the reply says so', async () => {
    const away = await startPostgres();
    const started = await withCalls({ databaseUrl: new Secret((await away?.database()) ?? '') });
    await away?.stop();
    // What was connected is told first that the server went.
    const reply = await until503(() => verify(started));
    expect((await reply.json()).error.code).toBe('store_unavailable');
    expect((await fetch(`${started.url}/health`)).status).toBe(200);
    const { code, error } = await run(started, 'ledger', 'verify');
    expect([code, error]).toEqual([1, expect.stringContaining('The store takes nothing now (gone)')]);
  });
});
