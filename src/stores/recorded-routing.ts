import type { Kysely } from 'kysely';
import { DEFAULT_ORGANISATION } from '../core/caller.ts';
import type { RoutingStore } from '../core/routing.ts';
import type { AuditLog } from './audit-log.ts';
import { RoutingRepository } from './sql/repositories/routing.ts';
import type { Tables } from './sql/tables.ts';

/** Aliases and routes in the database, each change with its entry in the audit log. */
export function recordedRouting(db: Kysely<Tables>, audit: Pick<AuditLog, 'recordChange'>): RoutingStore {
  const rows = (work: Kysely<Tables>) => new RoutingRepository(work, DEFAULT_ORGANISATION);
  return {
    all: () => rows(db).all(),
    setAlias: (alias, event) => audit.recordChange(event, (work) => rows(work).setAlias(alias)),
    removeAlias: (alias, event) => audit.recordChange(event, (work) => rows(work).removeAlias(alias)),
    setRoute: (route, event) => audit.recordChange(event, (work) => rows(work).setRoute(route)),
    removeRoute: (route, event) => audit.recordChange(event, (work) => rows(work).removeRoute(route)),
  };
}
