import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Secret } from '../core/secret.ts';
import { createPrivateFile, readPrivateFile } from './private-file.ts';

export interface AdminKeyFile {
  readonly key: Secret;
  /** True: this call made it. */
  readonly created: boolean;
  readonly path: string;
}

const SHAPE = /^swr_admin_[A-Za-z0-9]{32,128}$/;
/** 192 bits. */
const RANDOM_BYTES = 24;

/**
 * The admin key in `<dataDir>/admin-key`, made at the first start. Of several processes that start together, one
 * makes it and the others read that one.
 * @throws Error when the folder cannot be used or the file does not hold a key; it names the file and the fix.
 */
export async function loadOrCreateAdminKey(dataDir: string): Promise<AdminKeyFile> {
  const path = join(dataDir, 'admin-key');
  const stored = await readPrivateFile(path);
  if (stored !== null) return { key: parseKey(stored, path), created: false, path };

  const made = `swr_admin_${randomBytes(RANDOM_BYTES).toString('hex')}`;
  if (await createPrivateFile(path, `${made}\n`)) return { key: new Secret(made), created: true, path };
  const winners = await readPrivateFile(path);
  if (winners === null) throw new Error(`The admin key file ${path} vanished while it was read. Start again.`);
  return { key: parseKey(winners, path), created: false, path };
}

function parseKey(text: string, path: string): Secret {
  const key = text.trim();
  if (SHAPE.test(key)) return new Secret(key);
  throw new Error(
    `The admin key file ${path} does not hold a key (expected one line: "swr_admin_" and at least 32 letters or ` +
      'digits). Delete the file to have a new key made at the next start, or set SWARMROUTER_ADMIN_KEY.',
  );
}
