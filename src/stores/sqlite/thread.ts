/** SQLite's own thread: a commit waits for the disk, and the event loop must not. */
import { parentPort } from 'node:worker_threads';
import type { LedgerOperation, LedgerResult } from '../../core/ledger.ts';
import { commit, Overtaken } from '../sql/ledger/commit.ts';
import { resolveOrphans } from '../sql/ledger/orphans.ts';
import { SqliteConnection } from './connection.ts';
import { isDamage, unavailability, unavailabilityOfWrite } from './faults.ts';
import { type Answer, type Asked, type Command, encodeResults, type Fault, operationsOf } from './protocol.ts';

let connection: SqliteConnection | null = null;

parentPort?.on('message', (asked: Asked) => parentPort?.postMessage(answer(asked)));

function answer({ id, command }: Asked): Answer {
  try {
    return { id, value: perform(command) };
  } catch (error) {
    return { id, fault: faultOf(error, command.kind) };
  }
}

function perform(command: Command): unknown {
  if (command.kind === 'open') return open(command);
  if (command.kind === 'close') return close();
  if (connection === null) throw new Error('the store is closed');
  switch (command.kind) {
    case 'query':
      return connection.query(command.sql, command.parameters);
    case 'commit':
      return encodeResults(committed(connection, command.ownerId, operationsOf(command.texts)));
    case 'orphans':
      return connection.transact(() => resolveOrphans(command.ownerId, command.nowMs));
  }
}

/** Blindly first: that what is to be written is there and open nearly always holds. */
function committed(
  to: SqliteConnection,
  ownerId: string,
  operations: readonly LedgerOperation[],
): readonly LedgerResult[] {
  try {
    return to.transact(() => commit(ownerId, operations, { lookUp: false }));
  } catch (error) {
    if (!(error instanceof Overtaken)) throw error;
    return to.transact(() => commit(ownerId, operations, { lookUp: true }));
  }
}

function open({ path, readOnly, create }: Extract<Command, { kind: 'open' }>): null {
  // Asked again after a lock that others held.
  connection?.close();
  connection = new SqliteConnection(path, readOnly);
  if (create) connection.create();
  return null;
}

function close(): null {
  connection?.close();
  connection = null;
  return null;
}

function faultOf(error: unknown, kind: Command['kind']): Fault {
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
  const isOfLedger = kind === 'commit' || kind === 'orphans';
  const unavailable = isOfLedger ? unavailabilityOfWrite(error) : unavailability(error);
  return { name, message, unavailable, damaged: isDamage(error) };
}
