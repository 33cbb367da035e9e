import type { ClientKey } from '../core/client-key.ts';
import type { BudgetBook } from './budget-book.ts';
import type { KeyBook } from './key-book.ts';

/** A key as it was stored at one of its revisions. */
export interface StoredKey {
  readonly key: ClientKey;
  readonly revision: number;
}

/**
 * Puts keys into the books that requests are checked against. News of one key come in any order, from here and from
 * other gateways: what is older than what is known is left out.
 */
export class KeysInForce {
  readonly #keys: KeyBook;
  readonly #budgets: BudgetBook;
  readonly #revisions = new Map<string, number>();

  constructor(keys: KeyBook, budgets: BudgetBook) {
    this.#keys = keys;
    this.#budgets = budgets;
  }

  /**
   * In force when it returns.
   * @throws Error as `KeyBook.apply`; then nothing has changed.
   */
  put({ key, revision }: StoredKey): void {
    if (revision <= (this.#revisions.get(key.id) ?? 0)) return;
    this.#keys.apply({ kind: 'put', key });
    this.#revisions.set(key.id, revision);
    this.#budgets.putKey(key.organisationId, key.id, key.budgets);
  }

  /** All keys there are, in place of what was known. */
  replace(stored: readonly StoredKey[]): void {
    this.#keys.replace(stored.map(({ key }) => key));
    this.#revisions.clear();
    for (const { key, revision } of stored) {
      this.#revisions.set(key.id, revision);
      this.#budgets.putKey(key.organisationId, key.id, key.budgets);
    }
  }
}
