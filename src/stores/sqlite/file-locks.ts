import { Database } from 'bun:sqlite';
import { chmodSync, rmSync } from 'node:fs';
import type { FileLocks } from '../../core/file-lock.ts';
import { unavailability } from './faults.ts';

const OWNER_ONLY = 0o600;

/**
 * Locks of the operating system, by way of SQLite, which knows them of all systems: Bun has no call for them. A process
 * that is killed holds none any more, and neither a wall clock nor a process id has a say in it.
 */
export const sqliteFileLocks: FileLocks = {
  take(path) {
    const db = new Database(path, { create: true });
    try {
      db.run('pragma busy_timeout = 0');
      // A file of its own would have the rights that the umask gives, and there is nothing to take back.
      db.run('pragma journal_mode = memory');
      db.run('begin exclusive');
      if (process.platform !== 'win32') chmodSync(path, OWNER_ONLY);
    } catch (error) {
      db.close();
      if (unavailability(error) === 'locked') return null;
      throw error;
    }
    return {
      release() {
        rmSync(path, { force: true });
        db.close();
      },
    };
  },
};
