import type { Kysely } from 'kysely';
import { objectOf } from '../../../core/json-shape.ts';
import { RevisionConflict } from '../../../core/key-store.ts';
import type { KeptAlias, KeptRoute, KeptRouting, RouteSettings } from '../../../core/routing.ts';
import type { Tables } from '../tables.ts';

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

  async setAlias({ name, target, revision, updatedAtMs }: KeptAlias): Promise<void> {
    const key = { organisation_id: this.#organisationId, alias: name.toLowerCase() };
    const values = { written: name, target, revision, updated_at_ms: updatedAtMs };
    const changed =
      revision === 1
        ? await this.#db
            .insertInto('model_alias')
            .values({ ...key, ...values })
            .onConflict((conflict) => conflict.columns(['organisation_id', 'alias']).doNothing())
            .executeTakeFirst()
            .then(({ numInsertedOrUpdatedRows }) => numInsertedOrUpdatedRows)
        : await this.#db
            .updateTable('model_alias')
            .set(values)
            .where('organisation_id', '=', key.organisation_id)
            .where('alias', '=', key.alias)
            .where('revision', '=', revision - 1)
            .executeTakeFirst()
            .then(({ numUpdatedRows }) => numUpdatedRows);
    orConflict(changed, `alias "${name}"`, revision - 1);
  }

  async removeAlias({ name, revision }: KeptAlias): Promise<void> {
    const { numDeletedRows } = await this.#db
      .deleteFrom('model_alias')
      .where('organisation_id', '=', this.#organisationId)
      .where('alias', '=', name.toLowerCase())
      .where('revision', '=', revision)
      .executeTakeFirst();
    orConflict(numDeletedRows, `alias "${name}"`, revision);
  }

  async setRoute({ name, settings, revision, updatedAtMs }: KeptRoute): Promise<void> {
    const key = { organisation_id: this.#organisationId, name };
    const values = { settings: JSON.stringify(settings), revision, updated_at_ms: updatedAtMs };
    const changed =
      revision === 1
        ? await this.#db
            .insertInto('route')
            .values({ ...key, ...values })
            .onConflict((conflict) => conflict.columns(['organisation_id', 'name']).doNothing())
            .executeTakeFirst()
            .then(({ numInsertedOrUpdatedRows }) => numInsertedOrUpdatedRows)
        : await this.#db
            .updateTable('route')
            .set(values)
            .where('organisation_id', '=', key.organisation_id)
            .where('name', '=', name)
            .where('revision', '=', revision - 1)
            .executeTakeFirst()
            .then(({ numUpdatedRows }) => numUpdatedRows);
    orConflict(changed, `route "${name}"`, revision - 1);
  }

  async removeRoute({ name, revision }: KeptRoute): Promise<void> {
    const { numDeletedRows } = await this.#db
      .deleteFrom('route')
      .where('organisation_id', '=', this.#organisationId)
      .where('name', '=', name)
      .where('revision', '=', revision)
      .executeTakeFirst();
    orConflict(numDeletedRows, `route "${name}"`, revision);
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

function orConflict(changed: bigint | undefined, what: string, before: number): void {
  if (Number(changed ?? 0) === 0) throw new RevisionConflict(`The ${what} is not at ${before} any more.`);
}
