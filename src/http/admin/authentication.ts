import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { TooManyUnknownCredentials } from '../../core/credential-flood.ts';
import { ADMIN_KEY_PRINCIPAL, mayAtAll, type Principal } from '../../core/principal.ts';
import type { Secret } from '../../core/secret.ts';
import type { RequestOrigin } from '../connection.ts';
import { refuseCrossSite, sessionCookie } from './cookies.ts';
import { AdminError } from './error-envelope.ts';
import { requestOriginOf } from './origin.ts';

const BEARER = /^bearer +([^\s]+) *$/i;
/** In which organisation whoever runs the gateway acts. */
const ORGANISATION_HEADER = 'x-swarmrouter-organisation';

/** Whom a credential other than the admin key belongs to. */
export interface PrincipalSource {
  /**
   * Of a service token's text. Null: it is none that opens anything now. Rejects with TooManyUnknownCredentials.
   * @param address of whoever sends it; null: not known
   */
  ofToken(text: string, address: string | null): Promise<Principal | null>;
  /** Of what a session's cookie holds. Null: there is no such session, or it is over. Rejects likewise. */
  ofSession(cookie: string, address: string | null): Promise<Principal | null>;
  hasOrganisation(organisationId: string): Promise<boolean>;
}

export interface AuthenticationParts {
  readonly adminKey: Secret;
  readonly principals: PrincipalSource;
  /** True: the gateway listens on loopback only. */
  readonly loopback: boolean;
  /** Told of each credential that opens nothing. */
  readonly refused: (from: RequestOrigin) => void;
}

/**
 * Lets nothing pass that nobody has sent, and says who it was. Runs before the body is read and before the path is
 * looked at. A credential in "Authorization" counts before a cookie, which browsers send by themselves.
 */
export function requirePrincipal(parts: AuthenticationParts): MiddlewareHandler {
  const expected = digest(parts.adminKey.reveal());
  const isAdminKey = (text: string): boolean =>
    // Digests have one length, so the comparison's time tells nothing about the key.
    timingSafeEqual(digest(text), expected) && parts.adminKey.reveal() !== '';
  return async (context, next) => {
    const principal = await principalOf(context, isAdminKey, parts).catch((error: unknown) => {
      if (!(error instanceof TooManyUnknownCredentials)) throw error;
      parts.refused(requestOriginOf(context));
      throw flooded(error);
    });
    if (principal === null) {
      const header = context.req.header('authorization');
      if (header !== undefined) parts.refused(requestOriginOf(context));
      throw refusal(header === undefined);
    }
    context.set('principal', await acting(context, principal, parts.principals));
    await next();
  };
}

async function principalOf(
  context: Context,
  isAdminKey: (text: string) => boolean,
  { principals, loopback }: AuthenticationParts,
): Promise<Principal | null> {
  const header = context.req.header('authorization');
  const { peerAddress } = requestOriginOf(context);
  if (header !== undefined) {
    const text = BEARER.exec(header)?.[1] ?? '';
    return isAdminKey(text) ? ADMIN_KEY_PRINCIPAL : principals.ofToken(text, peerAddress);
  }
  const cookie = sessionCookie(context.req.header('cookie') ?? '', loopback);
  if (cookie === null) return null;
  const principal = await principals.ofSession(cookie, peerAddress);
  if (principal !== null) refuseCrossSite(context);
  return principal;
}

/** Whoever may make organisations may look after them: as the owner of the one that is named, and of nothing else. */
async function acting(context: Context, principal: Principal, principals: PrincipalSource): Promise<Principal> {
  const organisationId = context.req.header(ORGANISATION_HEADER);
  if (organisationId === undefined || organisationId === principal.organisationId) return principal;
  const may = mayAtAll(principal, 'organisation:write');
  if (may && (await principals.hasOrganisation(organisationId))) {
    return { ...principal, organisationId, grants: [{ role: 'owner', projectId: null }] };
  }
  const message = `There is no organisation ${JSON.stringify(organisationId.slice(0, 80))} that you may act in. Leave ${ORGANISATION_HEADER} out to act in your own.`;
  throw new AdminError(404, 'organisation_not_found', message);
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

function flooded({ waitMs }: TooManyUnknownCredentials): AdminError {
  const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
  const message = `So many credentials that open nothing were sent that no new one is looked up now. Try again in ${seconds} s. The admin key, and what was in use before, go on.`;
  return new AdminError(429, 'too_many_unknown_credentials', message, { headers: { 'retry-after': String(seconds) } });
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
