import { afterAll, describe, test } from 'bun:test';
import fc from 'fast-check';
import { compareAtEnd, ledgerCommands, prepared, Reference } from './ledger-model.ts';
import { backends, openAt } from './store-support.ts';

const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

describe.each(all.map((backend) => [backend.name, backend] as const))('the ledger in %s', (name, backend) => {
  test('books whatever happens as the reference does', async () => {
    const store = await openAt(await backend.place());
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(ledgerCommands, async (commands) => {
        const real = await prepared(store, `tenant ${runs++}`);
        const model = new Reference();
        await fc.asyncModelRun(() => ({ model, real }), commands);
        await compareAtEnd(model, real);
      }),
      { numRuns: name === 'SQLite' ? 200 : 60, endOnFailure: false },
    );
    await store.close();
  }, 120_000);
});
