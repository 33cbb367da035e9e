import { createHash, timingSafeEqual } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import type { Secret } from '../../core/secret.ts';
import type { RequestOrigin } from '../connection.ts';
import { AdminError } from './error-envelope.ts';
import { requestOriginOf } from './origin.ts';

const BEARER = /^bearer +([^\s]+) *$/i;

/**
 * Lets nothing pass without the admin key. Runs before the body is read and before the path is looked at.
 * @param refused told of each credential that is not the admin key
 */
export function requireAdminKey(adminKey: Secret, refused: (from: RequestOrigin) => void): MiddlewareHandler {
  const expected = digest(adminKey.reveal());
  return async (context, next) => {
    const header = context.req.header('authorization');
    const presented = header === undefined ? null : (BEARER.exec(header)?.[1] ?? '');
    // Digests have one length, so the comparison's time tells nothing about the key.
    const right = presented !== null && timingSafeEqual(digest(presented), expected);
    if (!right || adminKey.reveal() === '') {
      if (header !== undefined) refused(requestOriginOf(context));
      throw refusal(header === undefined);
    }
    await next();
  };
}

function refusal(missing: boolean): AdminError {
  return new AdminError(
    401,
    missing ? 'missing_admin_key' : 'invalid_admin_key',
    missing
      ? 'This needs the admin key. Send it as "Authorization: Bearer <admin key>"; it is SWARMROUTER_ADMIN_KEY or the file admin-key in the data folder.'
      : 'The credential in "Authorization" is not the admin key. Expected "Bearer <admin key>"; client keys do not work here.',
    { headers: { 'www-authenticate': 'Bearer' } },
  );
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
