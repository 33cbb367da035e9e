import type { Context } from 'hono';
import type { AuditOrigin } from '../../core/audit.ts';
import type { AdminConnection, RequestOrigin } from '../connection.ts';

/** What is on record of whoever has the admin key. */
export const ADMIN_ACTOR = { kind: 'admin', id: 'admin-key' } as const;

const FROM_NOWHERE: RequestOrigin = { requestId: null, peerAddress: null };

/** Where the request came from, as the HTTP server saw it; forwarding headers say what their sender likes. */
export function requestOriginOf(context: Context): RequestOrigin {
  const { requestId, peerAddress } = { ...FROM_NOWHERE, ...(context.env as Partial<RequestOrigin> | undefined) };
  return { requestId, peerAddress };
}

/** For work that may give no byte for minutes: the connection is not closed for it. */
export function keepOpen(context: Context): void {
  (context.env as Partial<AdminConnection> | undefined)?.setIdleTimeout?.(0);
}

/** Who asks for the change that a request is. Past the admin key it is whoever has that. */
export function auditOriginOf(context: Context): AuditOrigin {
  return { actor: ADMIN_ACTOR, ...requestOriginOf(context) };
}
