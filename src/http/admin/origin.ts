import type { Context } from 'hono';
import type { AuditOrigin } from '../../core/audit.ts';
import type { Principal } from '../../core/principal.ts';
import type { AdminConnection, RequestOrigin } from '../connection.ts';

declare module 'hono' {
  interface ContextVariableMap {
    /** Whom the request comes from; set before any route is reached. */
    principal: Principal;
  }
}

const FROM_NOWHERE: RequestOrigin = { requestId: null, peerAddress: null };

/** Where the request came from, as the HTTP server saw it: of forwarding headers it believes trusted proxies alone. */
export function requestOriginOf(context: Context): RequestOrigin {
  const { requestId, peerAddress } = { ...FROM_NOWHERE, ...(context.env as Partial<RequestOrigin> | undefined) };
  return { requestId, peerAddress };
}

/** For work that may give no byte for minutes: the connection is not closed for it. */
export function keepOpen(context: Context): void {
  (context.env as Partial<AdminConnection> | undefined)?.setIdleTimeout?.(0);
}

/** Who asks for the change that a request is. */
export function auditOriginOf(context: Context): AuditOrigin {
  const { kind, id } = context.get('principal');
  return { actor: { kind, id }, ...requestOriginOf(context) };
}
