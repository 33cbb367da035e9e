import { join } from 'node:path';
import type { AuditCheckpoint } from '../core/audit-chain.ts';
import { countOf, isObject, listOf, textOf } from '../core/json-shape.ts';
import { readPrivateFile, replacePrivateFile } from './private-file.ts';

/**
 * The latest checkpoint of each organisation, outside the database: whoever can write to that alone cannot cut off the
 * log, or put an older copy of it back, without being found out.
 */
export interface AuditAnchorFile {
  /** For messages. */
  readonly path: string;
  read(): Promise<readonly AuditCheckpoint[]>;
  /** Replaces all of them. */
  write(anchors: readonly AuditCheckpoint[]): Promise<void>;
}

export function auditAnchorFile(dataDir: string): AuditAnchorFile {
  const path = join(dataDir, 'audit-anchors.json');
  return {
    path,
    async read() {
      const text = await readPrivateFile(path);
      return text === null ? [] : parse(text, path);
    },
    write: (anchors) => replacePrivateFile(path, `${JSON.stringify({ anchors }, null, 2)}\n`),
  };
}

function parse(text: string, path: string): readonly AuditCheckpoint[] {
  try {
    const body: unknown = JSON.parse(text);
    const anchors = listOf(isObject(body) ? body['anchors'] : null).map(anchorOf);
    const whole = anchors.filter((anchor) => anchor !== null);
    if (isObject(body) && Array.isArray(body['anchors']) && whole.length === anchors.length) return whole;
  } catch {
    // Said below, with what to do.
  }
  throw new Error(
    `The file ${path} does not hold checkpoints of the audit log. Put it back from a backup; without one, delete it: ` +
      'from then on only what is written later is protected by it.',
  );
}

function anchorOf(value: unknown): AuditCheckpoint | null {
  if (!isObject(value)) return null;
  const [organisationId, hash, keyId, signature] = ['organisationId', 'hash', 'keyId', 'signature'].map((name) =>
    textOf(value[name]),
  );
  const [sequence, atMs] = [countOf(value['sequence'], 1), countOf(value['atMs'])];
  if (!organisationId || !hash || !keyId || !signature || sequence === null || atMs === null) return null;
  return { organisationId, sequence, hash, atMs, keyId, signature };
}
