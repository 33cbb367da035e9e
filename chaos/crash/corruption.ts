import { Database } from 'bun:sqlite';
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const FILES = ['swarmrouter.db', 'swarmrouter.db-wal'];

/**
 * What is wrong with the SQLite file that a killed process left. Looks at a copy: opening the file itself would repair
 * it before the gateway meets it.
 */
export function corruptionIn(dataDir: string, scratch: string): string[] {
  mkdirSync(scratch, { recursive: true });
  for (const name of FILES) if (existsSync(join(dataDir, name))) copyFileSync(join(dataDir, name), join(scratch, name));
  const db = new Database(join(scratch, 'swarmrouter.db'));
  try {
    const rows = db.query('pragma integrity_check').all() as { integrity_check: string }[];
    return rows.map(({ integrity_check }) => integrity_check).filter((text) => text !== 'ok');
  } finally {
    db.close();
    rmSync(scratch, { recursive: true, force: true });
  }
}
