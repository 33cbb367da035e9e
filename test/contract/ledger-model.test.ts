import { afterAll, describe, test } from 'bun:test';
import fc from 'fast-check';
import { compareAtEnd, ledgerCommands, mustEqual, neighbour, prepared, Reference, rowsOf } from './ledger-model.ts';
import { backends, openAt } from './store-support.ts';

const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

describe.each(all.map((backend) => [backend.name, backend] as const))('L-18 the ledger in %s', (name, backend) => {
  // Without any budget a commit takes another way: it looks nothing up before it writes.
  for (const budgeted of [true, false]) {
    test(`books whatever happens as the reference does, and nothing for others (with budgets: ${budgeted})`, async () => {
      const store = await openAt(await backend.place());
      const other = await neighbour(store, budgeted);
      const before = await rowsOf(other);
      let runs = 0;
      await fc.assert(
        fc.asyncProperty(ledgerCommands, async (commands) => {
          const real = await prepared(store, `tenant ${runs++}`, budgeted);
          const model = new Reference(budgeted);
          await fc.asyncModelRun(() => ({ model, real }), commands);
          await compareAtEnd(model, real);
          mustEqual(await rowsOf(other), before);
        }),
        { numRuns: name === 'SQLite' ? 150 : 60, endOnFailure: false },
      );
      await store.close();
    }, 120_000);
  }
});
