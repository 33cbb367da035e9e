import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { type LedgerOperation, NO_TOKENS } from '../../src/core/ledger.ts';
import type { LedgerFinding, LedgerInvariant } from '../../src/core/ledger-check.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { DialectName } from '../../src/stores/sql/dialect-name.ts';
import { freezeEndedAttempts } from '../../src/stores/sql/migrations/frozen-rows.ts';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { TenantRepository } from '../../src/stores/sql/repositories/tenants.ts';
import { verifyLedger } from '../../src/stores/sql/repositories/verify.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { sqliteFileLocks } from '../../src/stores/sqlite/file-locks.ts';
import { systemClock } from '../../src/system-clock.ts';
import { openLedger } from '../../src/usage/ledger/open-ledger.ts';
import { UpToDateVerification } from '../../src/usage/ledger/up-to-date-verification.ts';
import { backends, ending, endOf, openAt, type StorePlace, starting, startOf } from './store-support.ts';

const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

/** Each piece has to find what is wrong in it, and nothing may fall between two. */
const SMALL_PIECE = 2;

const DAY_BUDGET = 'budget day, window from 2026-11-23';

interface Break {
  readonly how: string;
  /** Statements of somebody who can write to the database, and who puts the triggers back in place. */
  readonly by: readonly (string | Readonly<Record<DialectName, string>>)[];
  readonly first: LedgerInvariant;
  readonly subject: string;
  readonly says: string;
}

/** Of all calls: what they say of their parts in budgets, changed in its text. */
function partsChanged(from: string | number, to: string | number) {
  return {
    sqlite: `update ledger_attempt set budget_parts = replace(budget_parts, '${from}', '${to}')`,
    postgres: `update ledger_attempt set budget_parts = replace(budget_parts::text, '${from}', '${to}')::jsonb`,
  };
}

const TODAY_MS = Date.UTC(2026, 10, 23);
const THIS_MONTH_MS = Date.UTC(2026, 10, 1);

/** `open`, `done`, `void` and `cut` count in the budgets of project and key; `free` counts in none. */
const BREAKS: readonly Break[] = [
  {
    how: 'a hard limit below what was spent under it',
    by: ["update budget set limit_amount = 40 where budget_id = 'day'"],
    first: 'I1',
    subject: DAY_BUDGET,
    says: 'settled 34 and reserved 10 are above the limit 40',
  },
  {
    how: 'a budget that says to have spent more than its calls',
    by: ["update budget_window set settled = settled + 1 where budget_id = 'day'"],
    first: 'I2',
    subject: DAY_BUDGET,
    says: 'it says reserved 10, settled 35; its calls say reserved 10, settled 34',
  },
  {
    how: 'a budget that set aside more than its calls',
    by: ["update budget_window set reserved = 0 where budget_id = 'day'"],
    first: 'I2',
    subject: DAY_BUDGET,
    says: 'it says reserved 0, settled 34; its calls say reserved 10',
  },
  {
    how: 'a window that was taken away',
    by: ["delete from budget_window where budget_id = 'day'"],
    first: 'I2',
    subject: DAY_BUDGET,
    says: 'the window is not on record; its calls say reserved 10, settled 34',
  },
  {
    how: 'a part that was taken away',
    by: [`update ledger_attempt set budget_parts = '[["day", "usd", ${TODAY_MS}, 1]]' where attempt_id = 'done'`],
    first: 'I2',
    subject: 'budget tokens, window from 2026-11-01',
    says: 'it says reserved 5, settled 127; its calls say reserved 5, settled 7',
  },
  {
    how: 'a call that was made cheaper',
    by: ["update ledger_attempt set cost_nano_usd = 3 where attempt_id = 'done'"],
    first: 'I2',
    subject: DAY_BUDGET,
    says: 'it says reserved 10, settled 34; its calls say reserved 10, settled 33',
  },
  {
    how: 'an unknown call that was made cheaper',
    by: ["update ledger_attempt set cost_nano_usd = 29 where attempt_id = 'cut'"],
    first: 'I2',
    subject: DAY_BUDGET,
    says: 'it says reserved 10, settled 34; its calls say reserved 10, settled 33',
  },
  {
    how: 'a call with fewer tokens than its budget counts',
    by: ["update ledger_attempt set output_tokens = 19 where attempt_id = 'done'"],
    first: 'I2',
    subject: 'budget tokens, window from 2026-11-01',
    says: 'it says reserved 5, settled 127; its calls say reserved 5, settled 126',
  },
  {
    how: 'a call that was to cost less than was set aside',
    by: ["update ledger_attempt set reserved_nano_usd = 9 where attempt_id = 'open'"],
    first: 'I2',
    subject: DAY_BUDGET,
    says: 'it says reserved 10, settled 34; its calls say reserved 9, settled 34',
  },
  {
    how: 'a part in another unit than its budget',
    by: ["update budget set unit = 'tokens' where budget_id = 'day'"],
    first: 'I2',
    subject: 'attempt cut',
    says: 'budget day is in tokens and counts it in usd',
  },
  {
    how: 'calls of today that count tomorrow',
    by: [
      "update budget_window set window_start_ms = window_start_ms + 86400000 where budget_id <> 'tokens'",
      partsChanged(TODAY_MS, TODAY_MS + 86_400_000),
    ],
    first: 'I2',
    subject: 'attempt cut',
    says: 'budget day counts it in the window from 2026-11-24, it began at 2026-11-23T12:00:00.000Z',
  },
  {
    how: 'calls of this month that count in another',
    by: [
      "update budget_window set window_start_ms = window_start_ms - 2678400000 where budget_id = 'tokens'",
      partsChanged(THIS_MONTH_MS, THIS_MONTH_MS - 2_678_400_000),
    ],
    first: 'I2',
    subject: 'attempt cut',
    says: 'budget tokens counts it in the window from 2026-10-01',
  },
  {
    how: 'an open call that has been paid',
    by: ["update ledger_attempt set cost_nano_usd = 1 where attempt_id = 'open'"],
    first: 'I3',
    subject: 'attempt open',
    says: 'it is open, and yet: input_tokens unknown, output_tokens unknown, cost_nano_usd 1',
  },
  {
    how: 'an open call of a process that is gone',
    by: ["update ledger_owner set alive = 0 where owner_id = 'me'"],
    first: 'I4',
    subject: 'attempt open',
    says: 'its process me is gone',
  },
  {
    how: 'an open call of a process that nobody knows',
    by: ["delete from ledger_owner where owner_id = 'me'"],
    first: 'I4',
    subject: 'attempt open',
    says: 'its process me is gone',
  },
  {
    how: 'more cached tokens than tokens',
    by: ["update ledger_attempt set cached_input_tokens = 101 where attempt_id = 'free'"],
    first: 'I5',
    subject: 'attempt free',
    says: 'a part of its tokens is more than the whole: input_tokens 100, cached_input_tokens 101',
  },
  {
    how: 'a cost below 0',
    by: ["update ledger_attempt set cost_nano_usd = -5 where attempt_id = 'free'"],
    first: 'I5',
    subject: 'attempt free',
    says: 'below 0: cost_nano_usd -5',
  },
  {
    how: 'an ended call without its tokens',
    by: ["update ledger_attempt set output_tokens = null where attempt_id = 'free'"],
    first: 'I5',
    subject: 'attempt free',
    says: 'it is settled, and its tokens are not on record',
  },
  {
    how: 'a call that used nothing and saved something',
    by: ["update ledger_attempt set saved_nano_usd = 7 where attempt_id = 'void'"],
    first: 'I5',
    subject: 'attempt void',
    says: 'nothing was used, and yet: input_tokens 0, output_tokens 0, cost_nano_usd 0, saved_nano_usd 7',
  },
  {
    how: 'a call that was taken away while budgets count it',
    by: ["delete from ledger_attempt where attempt_id = 'done'"],
    first: 'I2',
    subject: DAY_BUDGET,
    says: 'it says reserved 10, settled 34; its calls say reserved 10, settled 30',
  },
  {
    how: 'every call of an organisation taken away',
    by: ["delete from ledger_attempt where organisation_id = 'other'"],
    first: 'I2',
    subject: 'budget of the other, window from 2026-11-23',
    says: 'it says reserved 0, settled 2; its calls say reserved 0, settled 0',
  },
  {
    how: 'a call of a project that is not there',
    by: ["update ledger_attempt set project_id = 'gone' where attempt_id = 'free'"],
    first: 'I6',
    subject: 'attempt free',
    says: 'there is no project gone in its organisation',
  },
  {
    how: "a call of another organisation's project",
    by: ["update ledger_attempt set project_id = 'p' where attempt_id = 'free'"],
    first: 'I6',
    subject: 'attempt free',
    says: 'there is no project p in its organisation',
  },
  {
    how: 'a call of no request',
    by: ["update ledger_attempt set request_id = '' where attempt_id = 'free'"],
    first: 'I6',
    subject: 'attempt free',
    says: "it is call 1 of request ''",
  },
  {
    how: 'a budget that was given to somebody else',
    by: ["update budget set scope_id = 'of nobody' where budget_id = 'day'"],
    first: 'I7',
    subject: 'attempt cut',
    says: 'budget day of project of nobody counts it, and it is not of that',
  },
  {
    how: 'a part in a budget of another organisation',
    by: [
      `update ledger_attempt set budget_parts =
        '[["of the other", "usd", ${TODAY_MS}, 1], ["tokens", "tokens", ${THIS_MONTH_MS}, 0]]' where attempt_id = 'done'`,
      "update budget_window set settled = settled - 4 where budget_id = 'day'",
      `insert into budget_window (organisation_id, budget_id, window_start_ms, reserved, settled)
        values ('default', 'of the other', ${TODAY_MS}, 0, 4)`,
    ],
    first: 'I7',
    subject: 'attempt done',
    says: 'budget of the other counts it, and is none of its organisation',
  },
  {
    how: "a call with another organisation's key",
    by: ["update ledger_attempt set key_id = 'their key' where attempt_id = 'free'"],
    first: 'I7',
    subject: 'attempt free',
    says: "its key their key is another organisation's",
  },
];

async function run(store: SqlStore, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(store.db);
}

const UNFREEZE = {
  sqlite: ['drop trigger ledger_attempt_frozen', 'drop trigger ledger_attempt_kept'],
  postgres: ['drop trigger ledger_attempt_frozen on ledger_attempt', 'drop function ledger_attempt_frozen()'],
};

/** Ended calls cannot be changed but by who takes the triggers away first. */
async function meddle(store: SqlStore, statements: readonly string[]): Promise<void> {
  await run(store, [...UNFREEZE[store.dialect], ...statements, ...freezeEndedAttempts(store.dialect)]);
}

async function fill(store: SqlStore): Promise<void> {
  const tenants = new TenantRepository(store.db);
  await tenants.createProject({ organisationId: 'default', projectId: 'free', name: 'Free', createdAtMs: 0 });
  await tenants.createOrganisation({ organisationId: 'other', name: 'Other', createdAtMs: 0 });
  await tenants.createProject({ organisationId: 'other', projectId: 'p', name: 'P', createdAtMs: 0 });
  await run(store, [
    `insert into client_key (organisation_id, key_id, project_id, name, created_at_ms, policies, revision)
      values ('other', 'their key', 'p', 'theirs', 0, '{}', 1)`,
  ]);
  const budgets = new BudgetRepository(store.db);
  const budget = { organisationId: 'default', scope: 'project', scopeId: 'default', createdAtMs: 0 } as const;
  await budgets.create({ ...budget, budgetId: 'day', window: 'day', unit: 'usd', limit: 100, hard: true });
  await budgets.create({
    ...{ ...budget, scope: 'key', scopeId: 'alice', budgetId: 'tokens' },
    ...{ window: 'month', unit: 'tokens', limit: 10, hard: false },
  });
  await budgets.create({
    ...{ ...budget, organisationId: 'other', scopeId: 'p', budgetId: 'of the other' },
    ...{ window: 'day', unit: 'usd', limit: 100, hard: true },
  });
  const aside = { reservedNanoUsd: 10, reservedTokens: 5 };
  const free = { payer: { organisationId: 'default', projectId: 'free', keyId: null } };
  const theirs = { payer: { organisationId: 'other', projectId: 'p', keyId: 'their key' } };
  const operations: readonly LedgerOperation[] = [
    starting('open', aside),
    starting('done', aside),
    starting('void', aside),
    starting('cut', { reservedNanoUsd: 30, reservedTokens: 7 }),
    starting('free', free),
    starting('theirs', { ...theirs, reservedNanoUsd: 1 }),
    ending('done', { costNanoUsd: 4 }),
    ending('void', { state: 'voided' }),
    ending('cut', { ...NO_TOKENS, state: 'unknown', costNanoUsd: null, costSource: 'unknown', estimated: true }),
    ending('free', { costNanoUsd: 9 }),
    ending('theirs', { costNanoUsd: 2 }, 'other'),
  ];
  expect((await store.commit('me', operations)).every(({ kind }) => kind === 'done')).toBe(true);
}

describe.each(all.map((backend) => [backend.name, backend] as const))('a check of the ledger in %s', (_, backend) => {
  let place: StorePlace;
  let store: SqlStore;
  beforeEach(async () => {
    place = await backend.place();
    store = await openAt(place);
    await fill(store);
  });
  afterEach(() => store.close());

  const first = async (): Promise<LedgerFinding | undefined> => (await verifyLedger(store, SMALL_PIECE)).findings[0];

  test('finds nothing in sound books, and says how much it looked at', async () => {
    for (const callsOfAPiece of [1, SMALL_PIECE, 5, 6, 1_000]) {
      expect(await verifyLedger(store, callsOfAPiece)).toEqual({
        ...{ attempts: 6, parts: 9, windows: 3 },
        ...{ findings: [], cutShort: new Set() },
        // What it came to was no finding, but is told.
        overcharged: expect.objectContaining({ calls: 1, excessNanoUsd: 1, excessTokens: 0, parts: 1 }),
      });
    }
  });

  test('names calls that came to more than a hard budget had set aside for them, each once in the sum', async () => {
    const budgets = new BudgetRepository(store.db);
    const ofKey = { organisationId: 'default', scope: 'key', scopeId: 'alice', createdAtMs: 0 } as const;
    await budgets.create({ ...ofKey, budgetId: 'own', window: 'day', unit: 'usd', limit: 1_000, hard: true });
    await budgets.create({ ...ofKey, budgetId: 'words', window: 'total', unit: 'tokens', limit: 1_000, hard: true });
    await store.commit('me', [
      starting('dear', { reservedNanoUsd: 20, reservedTokens: 150 }),
      starting('long', { reservedNanoUsd: 20, reservedTokens: 110 }),
      starting('as thought', { reservedNanoUsd: 10, reservedTokens: 120 }),
      starting('not held', { reservedNanoUsd: 1, reservedTokens: 1 }, false),
      ending('dear', { costNanoUsd: 23 }),
      ending('long', { costNanoUsd: 20 }),
      ending('as thought', { costNanoUsd: 10 }),
      ending('not held', { costNanoUsd: 900 }),
    ]);
    const part = { organisationId: 'default', keyId: 'alice', targetId: 'lmstudio', model: 'qwen2.5-7b' };
    const dear = { ...part, attemptId: 'dear', unit: 'usd' as const, windowStartMs: Date.UTC(2026, 10, 23) };
    const theirs = {
      ...part,
      organisationId: 'other',
      keyId: 'their key',
      attemptId: 'theirs',
      budgetId: 'of the other',
    };
    for (const callsOfAPiece of [1, SMALL_PIECE, 1_000]) {
      const { findings, overcharged } = await verifyLedger(store, callsOfAPiece);
      expect(findings).toEqual([]);
      expect(overcharged).toEqual({
        // In dollars: 3 above for `dear`, which two budgets count, and 1 for `theirs`.
        ...{ calls: 3, excessNanoUsd: 4, excessTokens: 10, parts: 4 },
        listed: [
          { ...dear, budgetId: 'day', reserved: 20, settled: 23 },
          { ...dear, budgetId: 'own', reserved: 20, settled: 23 },
          {
            ...part,
            attemptId: 'long',
            budgetId: 'words',
            unit: 'tokens',
            windowStartMs: 0,
            reserved: 110,
            settled: 120,
          },
          { ...theirs, unit: 'usd', windowStartMs: Date.UTC(2026, 10, 23), reserved: 1, settled: 2 },
        ],
      });
    }
  });

  test('lists a hundred of them, and counts them all', async () => {
    const ids = Array.from({ length: 120 }, (_unused, index) => `dear ${String(index).padStart(3, '0')}`);
    await run(store, ["update budget set limit_amount = 10000 where budget_id = 'day'"]);
    await store.commit(
      'me',
      ids.map((id) => starting(id, { reservedNanoUsd: 1 })),
    );
    await store.commit(
      'me',
      ids.map((id) => ending(id, { costNanoUsd: 3 })),
    );
    const { overcharged } = await verifyLedger(store, 50);
    const { calls, excessNanoUsd, parts, listed } = overcharged;
    expect([calls, excessNanoUsd, parts, listed.length]).toEqual([121, 241, 121, 100]);
    expect(listed[0]).toMatchObject({ attemptId: 'dear 000', settled: 3 });
  });

  for (const { how, by, first: invariant, subject, says } of BREAKS) {
    test(`names ${invariant} first, and the row, at ${how}`, async () => {
      await meddle(
        store,
        by.map((text) => (typeof text === 'string' ? text : text[store.dialect])),
      );
      expect(await first()).toEqual({
        rule: invariant,
        organisationId: subject.includes('of the other') ? 'other' : 'default',
        subject,
        message: expect.stringContaining(says),
      });
    });
  }

  test('names I8 first where nothing keeps ended calls as they are', async () => {
    await run(store, [UNFREEZE[store.dialect][0] ?? '']);
    expect(await first()).toMatchObject({ rule: 'I8', subject: 'trigger ledger_attempt_frozen', organisationId: null });
  });

  test.skipIf(backend.name !== 'PostgreSQL')('names I8 first where that is switched off', async () => {
    await run(store, ['alter table ledger_attempt disable trigger ledger_attempt_frozen']);
    expect(await first()).toMatchObject({ rule: 'I8', subject: 'trigger ledger_attempt_frozen' });
  });

  test('names I8 first where the same could be on record twice', async () => {
    await run(store, [
      'create table copied as select * from budget_window',
      'drop table budget_window',
      'alter table copied rename to budget_window',
    ]);
    expect(await first()).toMatchObject({ rule: 'I8', subject: 'table budget_window' });
  });

  test('lists all invariants that are broken, and of each no more than a hundred findings', async () => {
    const many = Array.from({ length: 150 }, (__, index) => `free ${String(index).padStart(3, '0')}`);
    const payer = { organisationId: 'default', projectId: 'free', keyId: null };
    await store.commit(
      'me',
      many.flatMap((id) => [starting(id, { payer }), ending(id)]),
    );
    await meddle(store, [
      "update ledger_attempt set reasoning_tokens = 21 where project_id = 'free'",
      'update ledger_owner set alive = 0',
    ]);
    const { findings, cutShort } = await verifyLedger(store, 40);
    const of = (rule: LedgerInvariant) => findings.filter((finding) => finding.rule === rule);
    expect([of('I4').length, of('I5').length, findings.length]).toEqual([1, 100, 101]);
    expect(cutShort).toEqual(new Set<LedgerInvariant>(['I5']));
    expect(findings.map(({ rule }) => rule).toSorted()).toEqual(findings.map(({ rule }) => rule));
    expect(
      of('I5')
        .slice(0, 2)
        .map(({ subject }) => subject),
    ).toEqual(['attempt free', 'attempt free 000']);
  });

  test('names a budget that is overspent, be there ever so many whose sums are wrong', async () => {
    const rows = Array.from({ length: 300 }, (__, day) => `('default', 'tokens', ${day * 86_400_000}, 0, 1)`);
    await run(store, [
      `insert into budget_window (organisation_id, budget_id, window_start_ms, reserved, settled) values ${rows.join(', ')}`,
      "update budget set limit_amount = 40 where budget_id = 'day'",
    ]);
    const { findings, cutShort } = await verifyLedger(store);
    expect(findings[0]).toMatchObject({ rule: 'I1', subject: DAY_BUDGET });
    expect(cutShort).toEqual(new Set<LedgerInvariant>(['I2']));
  });

  test('finds nothing wrong in books that are written meanwhile', async () => {
    let isOver = false;
    const writing = (async () => {
      for (let batch = 0; !isOver; batch++) {
        const ids = Array.from({ length: 20 }, (__, index) => `${batch}-${index}`);
        await store.commit(
          'me',
          ids.map((id) => starting(id, { reservedNanoUsd: 1, reservedTokens: 1 }, false)),
        );
        await store.commit(
          'me',
          ids.map((id) => ending(id, { costNanoUsd: 2 })),
        );
      }
    })();
    try {
      // Looks that found the books longer than the one before.
      for (let [seen, grown] = [0, 0]; grown < 8; ) {
        const { findings, attempts } = await verifyLedger(store, 50);
        expect(findings).toEqual([]);
        if (attempts > seen) grown++;
        seen = attempts;
      }
    } finally {
      isOver = true;
      await writing;
    }
  }, 30_000);
});

describe('a check of a ledger that is in use', () => {
  const silent = (): void => undefined;
  const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarmrouter-verify-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function opened(dataDir: string) {
    await mkdir(dataDir, { recursive: true });
    const store = await openAt({ dataDir });
    const ledger = await openLedger({
      ...{ store, clock: systemClock, logger, journalFolder: dataDir },
      ...{ locks: sqliteFileLocks, newOwnerId: randomUUID },
    });
    const verification = new UpToDateVerification(
      () => verifyLedger(store),
      () => ledger,
    );
    return { store, ledger, verification };
  }

  test('brings what is in the journal to the store first', async () => {
    const { store, ledger, verification } = await opened(folder);
    await ledger.begin(startOf('a')).end(endOf());
    expect(ledger.health().waiting).toBe(2);
    expect(await verification.verify()).toMatchObject({
      ...{ attempts: 1, findings: [], backlog: { waiting: 0, problem: null } },
    });
    await ledger.close();
    await store.close();
  });

  test('runs once for all who ask meanwhile, and anew for who asks later', async () => {
    const { store, ledger, verification } = await opened(folder);
    const [one, two] = [verification.verify(), verification.verify()];
    expect(await one).toBe(await two);
    await ledger.begin(startOf('a')).end(endOf());
    expect((await verification.verify()).attempts).toBe(1);
    await ledger.close();
    await store.close();
  });

  test('says of calls that could be kept nowhere that they are not on record', async () => {
    const dataDir = join(folder, 'data');
    const { store, ledger, verification } = await opened(dataDir);
    await rename(dataDir, join(folder, 'elsewhere'));
    // Two records each, of which memory holds 60,000.
    await Promise.all(Array.from({ length: 30_010 }, (_, index) => ledger.begin(startOf(`${index}`)).end(endOf())));
    expect(ledger.health().lost).toBeGreaterThan(0);
    await rename(join(folder, 'elsewhere'), dataDir);
    while (ledger.health().state !== 'ok') await Bun.sleep(10);
    const { findings } = await verification.verify();
    expect(findings.map(({ rule, subject }) => `${rule} ${subject}`)).toEqual(['I6 this gateway']);
    expect(findings[0]?.message).toContain(`${ledger.health().lost} operations`);
    await ledger.close();
    await store.close();
  }, 60_000);
});
