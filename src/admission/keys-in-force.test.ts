import { expect, test } from 'bun:test';
import { ANYONE } from '../core/caller.ts';
import { ANYTHING, type ClientKey } from '../core/client-key.ts';
import { NO_LIMITS } from '../core/limits.ts';
import { BudgetBook } from './budget-book.ts';
import { KeyBook } from './key-book.ts';
import { KeysInForce } from './keys-in-force.ts';

const keyOf = (changes: Partial<ClientKey> = {}): ClientKey => ({
  ...{ id: 'key_1', organisationId: 'default', projectId: 'default', name: 'alice', owner: null },
  versions: [{ hash: 'a'.repeat(64), prefix: 'wgl_live_aaaa', lastFour: 'aaaa', createdAtMs: 0, expiresAtMs: null }],
  ...{ createdAtMs: 0, expiresAtMs: null, revokedAtMs: null, policies: ANYTHING, limits: NO_LIMITS },
  ...{ budgets: [], metadata: {} },
  ...changes,
});
const budget = { unit: 'usd', limit: 1, window: 'day', hard: true } as const;

function books() {
  const keys = new KeyBook(() => '');
  const budgets = new BudgetBook();
  const units = () => budgets.hardUnits({ ...ANYONE, keyId: 'key_1' }, 'm');
  return { keys, units, inForce: new KeysInForce(keys, budgets) };
}

test('late news of a key do not take back what is newer, whichever way they came', () => {
  const { keys, units, inForce } = books();
  inForce.put({ key: keyOf({ owner: 'two', budgets: [budget] }), revision: 2 });
  inForce.put({ key: keyOf({ owner: 'one' }), revision: 1 });
  expect([keys.byId('key_1')?.owner, units()]).toEqual(['two', ['usd']]);
  inForce.put({ key: keyOf({ owner: 'three' }), revision: 3 });
  expect([keys.byId('key_1')?.owner, units()]).toEqual(['three', []]);
});

test('all keys at the start take the place of what was known, with their budgets', () => {
  const { keys, units, inForce } = books();
  inForce.put({ key: keyOf({ owner: 'before' }), revision: 9 });
  inForce.replace([{ key: keyOf({ owner: 'stored', budgets: [budget] }), revision: 4 }]);
  expect([keys.byId('key_1')?.owner, units()]).toEqual(['stored', ['usd']]);
  inForce.put({ key: keyOf({ owner: 'late' }), revision: 4 });
  expect(keys.byId('key_1')?.owner).toBe('stored');
});
