import type { Kysely } from 'kysely';
import { objectOf } from '../../../core/json-shape.ts';
import type { KeptAlias, KeptRoute, KeptRouting, RouteSettings } from '../../../core/routing.ts';
import type { Tables } from '../tables.ts';
import { removeAtRevision, setAtRevision } from './at-revision.ts';

/** Aliases and routes that were set at run time, as rows of the organisation that runs the gateway. */
export class RoutingRepository {
  readonly #db: Kysely<Tables>;
  readonly #organisationId: string;

  constructor(db: Kysely<Tables>, organisationId: string) {
    this.#db = db;
    this.#organisationId = organisationId;
  }

  async all(): Promise<KeptRouting> {
    const own = this.#organisationId;
    const [aliases, routes] = [
      await this.#db
        .selectFrom('model_alias')
        .selectAll()
        .where('organisation_id', '=', own)
        .orderBy('alias')
        .execute(),
      await this.#db.selectFrom('route').selectAll().where('organisation_id', '=', own).orderBy('name').execute(),
    ];
    return {
      aliases: aliases.map((row) => ({ name: row.written, target: row.target, ...keptOf(row) })),
      routes: routes.map((row) => ({ name: row.name, settings: settingsOf(row.settings), ...keptOf(row) })),
    };
  }

  /** In place of the one of the revision before, which is 0 if there is none. Rejects with RevisionConflict. */
  async setAlias({ name, target, revision, updatedAtMs }: KeptAlias): Promise<void> {
    const values = { written: name, target, updated_at_ms: updatedAtMs };
    await setAtRevision(this.#db, this.#aliasAt(name, revision - 1), values);
  }

  /** Rejects with RevisionConflict. */
  async removeAlias({ name, revision }: KeptAlias): Promise<void> {
    await removeAtRevision(this.#db, this.#aliasAt(name, revision));
  }

  /** As `setAlias`. */
  async setRoute({ name, settings, revision, updatedAtMs }: KeptRoute): Promise<void> {
    const values = { settings: JSON.stringify(settings), updated_at_ms: updatedAtMs };
    await setAtRevision(this.#db, this.#routeAt(name, revision - 1), values);
  }

  /** Rejects with RevisionConflict. */
  async removeRoute({ name, revision }: KeptRoute): Promise<void> {
    await removeAtRevision(this.#db, this.#routeAt(name, revision));
  }

  #aliasAt(name: string, revision: number) {
    const key = { organisation_id: this.#organisationId, alias: name.toLowerCase() };
    return { table: 'model_alias', key, revision, what: `alias "${name}"` } as const;
  }

  #routeAt(name: string, revision: number) {
    const key = { organisation_id: this.#organisationId, name };
    return { table: 'route', key, revision, what: `route "${name}"` } as const;
  }
}

function keptOf({ revision, updated_at_ms: updatedAtMs }: { revision: number; updated_at_ms: number }) {
  return { revision, updatedAtMs };
}

/** Whether its strategy still exists is for whoever uses it to say. */
function settingsOf(text: string): RouteSettings {
  const { strategy, streamRecovery, maxFirstTokenMs } = objectOf(JSON.parse(text));
  return {
    strategy: typeof strategy === 'string' ? strategy : null,
    streamRecovery: typeof streamRecovery === 'boolean' ? streamRecovery : null,
    maxFirstTokenMs: typeof maxFirstTokenMs === 'number' ? maxFirstTokenMs : null,
  };
}
