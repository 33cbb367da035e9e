import type { PriceStore } from '../core/prices.ts';
import type { AuditLog } from './audit-log.ts';
import { PriceRepository } from './sql/repositories/prices.ts';

/** Prices in the database, each change with its entry in the audit log. */
export function recordedPrices(audit: Pick<AuditLog, 'recordChange'>): PriceStore {
  return {
    set: (price, event) => audit.recordChange(event, (transaction) => new PriceRepository(transaction).set(price)),
    remove: ({ organisationId, provider, model }, event) =>
      audit.recordChange(event, (transaction) =>
        new PriceRepository(transaction).remove(organisationId, provider, model),
      ),
  };
}
