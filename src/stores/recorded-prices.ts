import type { Kysely } from 'kysely';
import type { PriceStore } from '../core/prices.ts';
import type { AuditLog } from './audit-log.ts';
import { PriceRepository } from './sql/repositories/prices.ts';
import type { Tables } from './sql/tables.ts';

/** Prices in the database, each change with its entry in the audit log. */
export function recordedPrices(db: Kysely<Tables>, audit: Pick<AuditLog, 'recordChange'>): PriceStore {
  return {
    all: () => new PriceRepository(db).all(),
    set: (price, event) => audit.recordChange(event, (transaction) => new PriceRepository(transaction).set(price)),
    remove: (of, event) => audit.recordChange(event, (transaction) => new PriceRepository(transaction).remove(of)),
  };
}
