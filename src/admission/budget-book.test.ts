import { expect, test } from 'bun:test';
import { ANYONE } from '../core/caller.ts';
import { BudgetBook, type SharedBudgetInForce } from './budget-book.ts';

const budget = (changes: Partial<SharedBudgetInForce>): SharedBudgetInForce => ({
  ...{ organisationId: 'default', scope: 'project', scopeId: 'default', unit: 'usd', hard: true },
  ...{ budgetId: 'bud_1', window: 'day', limit: 5 },
  ...changes,
});
const alice = { ...ANYONE, keyId: 'alice' };

test('a call waits for the hard budgets of its organisation, project, key and model, and for no others', () => {
  const book = new BudgetBook();
  expect(book.hardUnits(alice, 'm')).toEqual([]);
  book.replaceShared([
    budget({ unit: 'tokens', hard: false }),
    budget({ scopeId: 'other', unit: 'tokens' }),
    budget({ organisationId: 'elsewhere' }),
    budget({ scope: 'model', scopeId: 'm' }),
  ]);
  expect([book.hardUnits(alice, 'm'), book.hardUnits(alice, 'n')]).toEqual([['usd'], []]);
  book.replaceShared([budget({}), budget({ scope: 'organisation', unit: 'tokens' }), budget({ unit: 'usd' })]);
  expect([...book.hardUnits(ANYONE, 'n')].sort()).toEqual(['tokens', 'usd']);
});

test('budgets of keys and shared ones take the place of their own kind alone', () => {
  const book = new BudgetBook();
  book.putKey('default', 'alice', [{ unit: 'tokens', hard: true }]);
  book.replaceShared([budget({})]);
  expect([...book.hardUnits(alice, 'm')].sort()).toEqual(['tokens', 'usd']);
  book.replaceShared([]);
  expect(book.hardUnits(alice, 'm')).toEqual(['tokens']);
  expect(book.hardUnits({ ...alice, keyId: 'bob' }, 'm')).toEqual([]);
  book.putKey('default', 'alice', [{ unit: 'tokens', hard: false }]);
  expect(book.hardUnits(alice, 'm')).toEqual([]);
});

test('whoever is refused is told of each hard budget that applies, and of no other', () => {
  const book = new BudgetBook();
  const own = { unit: 'usd', limit: 1, window: 'week', hard: true } as const;
  book.replaceShared([
    budget({}),
    budget({ scope: 'organisation', scopeId: 'other', budgetId: 'bud_2', window: 'total' }),
    budget({ scope: 'model', scopeId: 'm', budgetId: 'bud_3' }),
    budget({ scope: 'model', scopeId: 'n', budgetId: 'bud_4' }),
    budget({ hard: false, budgetId: 'bud_5' }),
    budget({ organisationId: 'elsewhere', budgetId: 'bud_6' }),
  ]);
  const told = book.hardBudgets({ ...alice, budgets: [own, { ...own, hard: false }] }, 'm');
  expect(told.map(({ scope, scopeId, budgetId, limit }) => [scope, scopeId, budgetId, limit])).toEqual([
    ['key', 'alice', '', 1],
    ['project', 'default', 'bud_1', 5],
    ['model', 'm', 'bud_3', 5],
  ]);
  expect(book.hardBudgets({ ...ANYONE, organisationId: 'elsewhere' }, 'm')).toMatchObject([{ budgetId: 'bud_6' }]);
});
