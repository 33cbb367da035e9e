import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { ADMIN_KEY_PRINCIPAL, type Principal } from '../../core/principal.ts';
import type { Secret } from '../../core/secret.ts';
import type { RequestOrigin } from '../connection.ts';
import { AdminError } from './error-envelope.ts';
import { requestOriginOf } from './origin.ts';

const BEARER = /^bearer +([^\s]+) *$/i;

/** Whom a credential other than the admin key belongs to. */
export interface PrincipalSource {
  /** Of a service token's text. Null: it is none that opens anything now. */
  ofToken(text: string): Principal | null;
  /** Of the session that the request's cookie names. Null: there is none, or it is over. */
  ofSession(cookies: string): Principal | null;
}

/** Where there are neither people nor tokens. */
export const NO_PRINCIPALS: PrincipalSource = { ofToken: () => null, ofSession: () => null };

export interface AuthenticationParts {
  readonly adminKey: Secret;
  readonly principals: PrincipalSource;
  /** Told of each credential that opens nothing. */
  readonly refused: (from: RequestOrigin) => void;
}

/**
 * Lets nothing pass that nobody has sent, and says who it was. Runs before the body is read and before the path is
 * looked at. A credential in "Authorization" counts before a cookie, which browsers send by themselves.
 */
export function requirePrincipal({ adminKey, principals, refused }: AuthenticationParts): MiddlewareHandler {
  const expected = digest(adminKey.reveal());
  const ofBearer = (text: string): Principal | null => {
    // Digests have one length, so the comparison's time tells nothing about the key.
    const isAdminKey = timingSafeEqual(digest(text), expected) && adminKey.reveal() !== '';
    return isAdminKey ? ADMIN_KEY_PRINCIPAL : principals.ofToken(text);
  };
  return async (context, next) => {
    const principal = principalOf(context, ofBearer, principals);
    if (principal === null) {
      const header = context.req.header('authorization');
      if (header !== undefined) refused(requestOriginOf(context));
      throw refusal(header === undefined);
    }
    context.set('principal', principal);
    await next();
  };
}

function principalOf(
  context: Context,
  ofBearer: (text: string) => Principal | null,
  { ofSession }: PrincipalSource,
): Principal | null {
  const header = context.req.header('authorization');
  if (header !== undefined) return ofBearer(BEARER.exec(header)?.[1] ?? '');
  const cookies = context.req.header('cookie');
  return cookies === undefined ? null : ofSession(cookies);
}

function refusal(missing: boolean): AdminError {
  return new AdminError(
    401,
    missing ? 'missing_admin_key' : 'invalid_admin_key',
    missing
      ? 'This needs the admin key, a service token or a login. Send a key or token as "Authorization: Bearer <admin key>"; the admin key is SWARMROUTER_ADMIN_KEY or the file admin-key in the data folder.'
      : 'The credential in "Authorization" is neither the admin key nor a service token that is in force. Expected "Bearer <admin key>"; client keys do not work here.',
    { headers: { 'www-authenticate': 'Bearer' } },
  );
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
