import { timingSafeEqual } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Tables } from '../tables.ts';

/** Turns a text into what only holders of the gateways' common secret can make of it. */
export type Seal = (text: string) => string;

const NAME_START = 'audit_public_key:';

/**
 * The public keys of all gateways on one database, each under a seal that is made with their common pepper: whoever can
 * write to the database alone cannot add a key of their own.
 */
export class SharedAuditKeys {
  readonly #db: Kysely<Tables>;
  readonly #seal: Seal;

  constructor(db: Kysely<Tables>, seal: Seal) {
    this.#db = db;
    this.#seal = seal;
  }

  /** @param id of the key; @param key SPKI, base64 */
  async publish(id: string, key: string): Promise<void> {
    const value = `${key} ${this.#sealOf(key)}`;
    await this.#db
      .insertInto('meta')
      .values({ name: `${NAME_START}${id}`, value })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
      .execute();
  }

  /** Those whose seal is right: SPKI, base64. */
  async sealed(): Promise<readonly string[]> {
    const rows = await this.#db
      .selectFrom('meta')
      .select('value')
      .where('name', '>=', NAME_START)
      .where('name', '<', `${NAME_START}~`)
      .orderBy('name')
      .execute();
    return rows.flatMap(({ value }) => {
      const [key = '', seal = ''] = value.split(' ');
      return isSame(seal, this.#sealOf(key)) ? [key] : [];
    });
  }

  /** No client key begins so: what is sealed here opens nothing there. */
  #sealOf(key: string): string {
    return this.#seal(`public key of the audit log\n${key}`);
  }
}

function isSame(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}
