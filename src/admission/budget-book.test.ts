import { expect, test } from 'bun:test';
import { ANYONE } from '../core/caller.ts';
import { BudgetBook, type BudgetInForce } from './budget-book.ts';

const budget = (changes: Partial<BudgetInForce>): BudgetInForce => ({
  ...{ organisationId: 'default', scope: 'project', scopeId: 'default', unit: 'usd', hard: true },
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
