import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import type { AuditFilter } from '../../src/core/audit.ts';
import { rotateKey } from '../../src/core/client-key.ts';
import type { LedgerOperation } from '../../src/core/ledger.ts';
import { AuditRepository } from '../../src/stores/sql/repositories/audit.ts';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { ChangeRepository } from '../../src/stores/sql/repositories/changes.ts';
import { PeopleRepository } from '../../src/stores/sql/repositories/people.ts';
import { PriceRepository } from '../../src/stores/sql/repositories/prices.ts';
import { RoutingRepository } from '../../src/stores/sql/repositories/routing.ts';
import { SharedLimitRepository } from '../../src/stores/sql/repositories/shared-limits.ts';
import { TenantRepository } from '../../src/stores/sql/repositories/tenants.ts';
import { UsageRepository } from '../../src/stores/sql/repositories/usage.ts';
import { verifyLedger } from '../../src/stores/sql/repositories/verify.ts';
import { versionOf } from '../support/client-keys.ts';
import { ORIGIN, of, TWINS, type Twin, TwinStore } from './same-ids-support.ts';
import { backends, ending, NOON_MS, starting } from './store-support.ts';

const REFUSED = { origin: ORIGIN, action: 'key.use', subject: 'key:x', outcome: 'refused' } as const;
/** For reading alone. */
const NO_TOOLS = {
  sha256: String,
  sign: () => {
    throw new Error('nothing is signed here');
  },
};
const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

describe.each(all.map((backend) => [backend.name, backend] as const))(
  'S-18 in %s, of what has the same id in two organisations',
  (_, backend) => {
    let twins: TwinStore;
    beforeEach(async () => {
      twins = await TwinStore.at(await backend.place());
    });
    afterEach(() => twins.close());

    /** Each is done for a, and must leave every row of b's alone. */
    const leavesTheTwinAlone = async (deeds: Readonly<Record<string, () => Promise<unknown>>>): Promise<void> => {
      const before = await twins.rowsOf('b');
      const own = await twins.rowsOf('a');
      for (const [name, deed] of Object.entries(deeds)) {
        await deed();
        expect({ name, rows: await twins.rowsOf('b') }).toEqual({ name, rows: before });
      }
      expect(await twins.rowsOf('a')).not.toEqual(own);
    };

    test('each has a row in every table of tenants that can hold one', async () => {
      const withRows = async (twin: Twin) =>
        Object.entries(await twins.rowsOf(twin)).map(([table, rows]) => [table, rows.length]);
      const counts = await withRows('a');
      // A checkpoint comes with the end of the process or the hundredth entry.
      expect(counts.filter(([, count]) => count === 0)).toEqual([['audit_checkpoint', 0]]);
      expect((await withRows('b')).filter(([table]) => table !== 'client_key_version')).toEqual(
        counts.filter(([table]) => table !== 'client_key_version'),
      );
    });

    test('a change of people, machines and logins touches no row of the other', async () => {
      const people = new PeopleRepository(twins.store.db);
      const { user, token, session } = of('a');
      const notTheirs = { ...session, hash: of('b').session.hash };
      await leavesTheTwinAlone({
        'change a user': () => people.changeUser({ ...user, grants: [] }, 'y', 1),
        'revoke a token': () => people.revokeToken(token, 9),
        'use a session': () => people.touchSession(session, 9),
        'use a session of the other': () => people.touchSession(notTheirs, 9),
        'end a session of the other': () => people.endSession(notTheirs),
        'end all sessions of a user': () => people.endSessionsOf(user),
      });
      expect((await twins.rowsOf('a'))['admin_session']).toEqual([]);
    });

    test('a change of tenants, budgets, limits, prices, aliases and routes touches no row of the other, and of its own the one', async () => {
      const { db } = twins.store;
      const { organisation, project, limit, price, alias, route } = of('a');
      const [tenants, budgets, prices] = [new TenantRepository(db), new BudgetRepository(db), new PriceRepository(db)];
      const limits = new SharedLimitRepository(db);
      const routing = new RoutingRepository(db, 'a');
      await leavesTheTwinAlone({
        'rename the organisation': () => tenants.renameOrganisation(organisation, 'y'),
        'rename a project': () => tenants.renameProject(project, 'y'),
        'change a budget': () => budgets.changeLimit({ organisationId: 'a', budgetId: 'same', revision: 1 }, 1, 9),
        'retire a budget': () => budgets.retire('a', 'same', 9),
        'retire a budget at its revision': () =>
          budgets.retireAt({ organisationId: 'a', budgetId: 'second', revision: 1 }, 9),
        'change a limit': () => limits.set(limit('same'), 1),
        'remove a limit': () => limits.remove(limit('second')),
        'change a price': () => prices.set({ ...price('same'), rates: { input: 9 }, revision: 2 }),
        'remove a price': () => prices.remove(price('second')),
        'change an alias': () => routing.setAlias({ ...alias('same'), target: 'y', revision: 2 }),
        'remove an alias': () => routing.removeAlias(alias('second')),
        'change a route': () => routing.setRoute({ ...route('same'), updatedAtMs: 9, revision: 2 }),
        'remove a route': () => routing.removeRoute(route('second')),
      });
      expect((await tenants.projects('a')).map(({ projectId, name }) => [projectId, name])).toEqual([
        ['other', 'web-a'],
        ['web', 'y'],
      ]);
    });

    test('a change of a key, its texts and its budgets touches no row of the other, and counts by its own', async () => {
      const { keys, key } = twins;
      const own = key.a.key;
      const [oldText] = own.versions;
      const [textOfTheOther] = key.b.key.versions;
      const rotated = rotateKey(own, versionOf('a new text'), NOON_MS + 9);
      const dearer = { ...rotated, budgets: rotated.budgets.map((budget) => ({ ...budget, limit: budget.limit * 2 })) };
      const change = (revision: number, before: typeof own, after: typeof own) => () =>
        keys.change({ key: before, revision, budgets: [] }, after, NOON_MS, { action: 'key.update', origin: ORIGIN });
      await leavesTheTwinAlone({
        'rotate it': change(1, own, rotated),
        'end a text of the other': change(
          2,
          { ...rotated, versions: [textOfTheOther] },
          { ...rotated, versions: [{ ...textOfTheOther, expiresAtMs: NOON_MS }] },
        ),
        'delete a text of the other': change(
          3,
          { ...rotated, versions: [...rotated.versions, textOfTheOther] },
          rotated,
        ),
        'raise its budgets': change(4, rotated, dearer),
      });
      const versions = await twins.store.db
        .selectFrom('client_key_version')
        .select(['version', 'key_hash'])
        .where('organisation_id', '=', 'a')
        .orderBy('version')
        .execute();
      expect(versions).toEqual([
        { version: 1, key_hash: oldText.hash },
        { version: 2, key_hash: rotated.versions[0].hash },
      ]);
      const [record] = (await keys.all(NOON_MS)).filter((one) => one.key.organisationId === 'a');
      expect(record).toMatchObject({ revision: 5, key: { budgets: dearer.budgets } });
      await leavesTheTwinAlone({ 'take its budgets away': change(5, dearer, { ...dearer, budgets: [] }) });
    });

    test('a call counts in the budgets of its own alone, and ends its own alone', async () => {
      const { store } = twins;
      const call = (twin: Twin, id: string, reservedNanoUsd: number) =>
        starting(id, { payer: { organisationId: twin, projectId: 'web', keyId: 'same' }, reservedNanoUsd });
      const kinds = async (...operations: LedgerOperation[]) =>
        (await store.commit('me', operations)).map(({ kind }) => kind);
      expect(await kinds(call('a', 'call', 2), call('b', 'call', 2))).toEqual(['done', 'done']);
      // In b's budget there is no room for the second one.
      const budgets = new BudgetRepository(store.db);
      for (const budgetId of ['same', 'second']) {
        await budgets.changeLimit({ organisationId: 'a', budgetId, revision: 1 }, 100, 9);
      }
      await leavesTheTwinAlone({
        'end a call': async () => expect(await kinds(ending('call', { costNanoUsd: 1 }, 'a'))).toEqual(['done']),
        'begin a dear call': async () => expect(await kinds(call('a', 'dear', 50))).toEqual(['done']),
      });
      expect(await kinds(ending('call', { costNanoUsd: 1 }, 'b'))).toEqual(['done']);
      // Both in one batch.
      expect(await kinds(call('a', 'pair', 1), call('b', 'pair', 1))).toEqual(['done', 'done']);
      const both = TWINS.map((twin) => ending('pair', { costNanoUsd: 1 }, twin));
      expect(await kinds(...both)).toEqual(['done', 'done']);
      expect((await verifyLedger(store)).findings).toEqual([]);
    });

    test('one secret cannot be a key of both', async () => {
      const { keys, key } = twins;
      const twice = { ...key.b.key, id: 'second', versions: key.a.key.versions };
      const error = await keys.create(twice, { action: 'key.create', origin: ORIGIN }).then(() => null, String);
      expect(error).toMatch(/unique/i);
      expect(await keys.some(['second'], NOON_MS)).toEqual([]);
    });

    test('each is read by itself: people, projects, keys, budgets, aliases, routes, usage and the record of changes', async () => {
      const { store, keys, audit } = twins;
      const { db } = store;
      const people = new PeopleRepository(db);
      const usage = new UsageRepository(db);
      const changes = new ChangeRepository(db);
      const everything = { fromMs: null, toMs: null, actor: null, action: null, subject: null };
      const time = { projectIds: null, fromMs: 0, toMs: NOON_MS * 2 };
      await audit.record({ ...REFUSED, organisationId: 'b' });
      const ends = await changes.ends();
      const chains = new AuditRepository(db, NO_TOOLS);
      for (const twin of TWINS) {
        const { aliases, routes } = await new RoutingRepository(db, twin).all();
        const filter: AuditFilter = { organisationId: twin, ...everything };
        const query = { projectIds: null, name: null, prefix: null, state: null, limit: 1, afterId: null };
        const exported = await Array.fromAsync(usage.export({ organisationId: twin, ...time }));
        const session = await people.session(of(twin).session.hash);
        const page = await keys.page({ organisationId: twin, ...query }, NOON_MS);
        const budgets = await new BudgetRepository(db).states(NOON_MS, { organisationId: twin });
        const seen = {
          users: (await people.users(twin)).map(({ name }) => name),
          tokens: (await people.tokens(twin)).map(({ name }) => name),
          user: session?.user.name,
          projects: (await new TenantRepository(db).projects(twin)).map(({ name }) => name),
          keys: page.records.map(({ key }) => key.name),
          nextKeys: page.nextAfterId,
          keysBehindIt: (await keys.page({ organisationId: twin, ...query, afterId: 'same' }, NOON_MS)).records.length,
          budgets: budgets.map((budget) => budget.organisationId),
          aliases: aliases.map(({ target }) => target),
          routes: routes.map(({ settings }) => settings.strategy),
          sums: (await usage.sums({ organisationId: twin, ...time, groupBy: [] })).map(({ attempts }) => attempts),
          exported: exported.map((row) => row.request_id),
          entries: (await Array.fromAsync(audit.export(filter))).map(({ organisationId }) => organisationId),
          lastEntry: (await chains.state(twin)).lastSequence,
          changes: await changes.between(new Map(), new Map([[twin, ends.get(twin) ?? 0]]), 10),
        };
        expect(seen).toEqual({
          users: [`olga-${twin}`],
          tokens: [`bot-${twin}`],
          user: `olga-${twin}`,
          projects: [`web-${twin}`, `web-${twin}`],
          keys: [`key-${twin}`],
          nextKeys: null,
          keysBehindIt: 0,
          budgets: Array(4).fill(twin),
          aliases: [`model-${twin}`, `model-${twin}`],
          routes: Array(2).fill(of(twin).route('').settings.strategy),
          sums: [1],
          exported: [`request-${twin}`],
          entries: twin === 'a' ? ['a'] : ['b', 'b'],
          lastEntry: twin === 'a' ? 1 : 2,
          changes: [{ action: 'key.create', subject: 'key:same' }],
        });
      }
    });
  },
);
