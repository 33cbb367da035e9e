/** A process of the tests that writes to the audit log: `bun audit-process.ts '<JSON>'`. Begins when a line comes. */
import { randomUUID } from 'node:crypto';
import type { Logger } from '../../src/core/logger.ts';
import { openAuditLog } from '../../src/stores/audit-log.ts';
import { systemClock } from '../../src/system-clock.ts';
import { openAt, type StorePlace } from './store-support.ts';

export interface AuditTask {
  readonly place: StorePlace;
  readonly dataDir: string;
  readonly name: string;
  /** So many entries; null: changes with their entries, until it is killed. */
  readonly count: number | null;
}

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

const { place, dataDir, name, count } = JSON.parse(process.argv[2] ?? 'null') as AuditTask;
const store = await openAt(place);
const audit = await openAuditLog({ db: store.db, dataDir, clock: systemClock, logger });
console.log('ready');
for await (const _ of console) break;
const origin = { actor: { kind: 'admin', id: name }, peerAddress: null, requestId: null } as const;
if (count === null) await changeOnAndOn();
else await record(count);

async function record(entries: number): Promise<void> {
  await Promise.all(
    Array.from({ length: entries }, (_, index) =>
      audit.record({ origin, action: 'key.create', subject: `key:${index}` }),
    ),
  );
  await audit.close();
  await store.close();
  process.exit(0);
}

async function changeOnAndOn(): Promise<void> {
  for (;;) {
    const projectId = randomUUID();
    await store.db.transaction().execute(async (transaction) => {
      await transaction
        .insertInto('project')
        .values({ organisation_id: 'default', project_id: projectId, name, created_at_ms: 0 })
        .execute();
      await audit.append(transaction, { origin, action: 'project.create', subject: `project:${projectId}` });
    });
    console.log(projectId);
  }
}
