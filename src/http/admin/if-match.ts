import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { RevisionConflict } from '../../core/key-store.ts';
import { AdminError } from './error-envelope.ts';

export const ifMatchHeader = z.object({
  'if-match': z.string().optional().openapi({ description: 'The ETag of what was read: changed since then is 412.' }),
});

/** Null: whatever is there is changed. */
export function revisionOf(context: Context): number | null {
  const sent = context.req.header('if-match')?.trim();
  if (sent === undefined || sent === '*') return null;
  const number = /^(?:W\/)?"(\d{1,15})"$/.exec(sent)?.[1];
  if (number !== undefined) return Number(number);
  const message = `If-Match is ${JSON.stringify(sent.slice(0, 60))}: it should be the ETag of a reply, such as "3".`;
  throw new AdminError(400, 'invalid_if_match', message);
}

/** @param what for the message: `key` */
export async function orConflict<Value>(what: string, changing: Promise<Value>): Promise<Value> {
  try {
    return await changing;
  } catch (error) {
    if (!(error instanceof RevisionConflict)) throw error;
    const message = `The ${what} was changed since it was read${revisionsText(error)}. Read it again (GET), and send the change with its new ETag.`;
    throw new AdminError(412, 'revision_conflict', message);
  }
}

function revisionsText({ revisions }: RevisionConflict): string {
  if (revisions === null) return '';
  const { asked, inForce } = revisions;
  const now = inForce === 0 ? 'none was set here' : `revision ${inForce} is in force`;
  return `: If-Match asks for revision ${asked}, and ${now}`;
}
