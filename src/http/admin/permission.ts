import type { OpenAPIHono } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import { matchedRoutes } from 'hono/route';
import { PERMISSIONS, type Permission } from '../../core/permissions.ts';
import { mayAtAll, type Principal } from '../../core/principal.ts';
import type { RequestOrigin } from '../connection.ts';
import { AdminError } from './error-envelope.ts';
import { missingText } from './missing-permission.ts';
import { requestOriginOf } from './origin.ts';
import { ADMIN_SECURITY } from './schemas.ts';

/** Where a route's definition, and so the document, says which permission it needs. */
export const PERMISSION_FIELD = 'x-permission';
/** What every principal may: to ask who it is, and to end its own session. */
const SELF = 'self';

type Needed = Permission | typeof SELF;

/** The part of a route's definition that says who may call it; it stands in the OpenAPI document too. */
export function needs<Wanted extends Needed>(permission: Wanted) {
  return { security: ADMIN_SECURITY, [PERMISSION_FIELD]: permission } as const;
}

/** Told of each refusal. */
export interface PermissionPorts {
  refusedPermission(principal: Principal, permission: string, from: RequestOrigin): void;
}

/**
 * Lets a request reach its route only if its principal has the route's permission, before its body is read. The
 * permissions are those of the routes' own definitions; a route without one is refused to everybody.
 */
export function requirePermissions(app: OpenAPIHono, ports: PermissionPorts): MiddlewareHandler {
  let permissions: ReadonlyMap<string, Needed> | null = null;
  return async (context, next) => {
    permissions ??= permissionsOf(app);
    const routes = matchedRoutes(context).filter(({ method }) => method !== 'ALL');
    for (const { method, path } of routes) {
      const permission = permissions.get(`${method} ${path}`);
      if (permission !== SELF)
        check(context.get('principal'), permission, (principal, missing) => {
          ports.refusedPermission(principal, missing, requestOriginOf(context));
        });
    }
    await next();
    // What a route refused for what it was asked to be done to: a project, a role that is more than one's own.
    const { error } = context;
    if (!(error instanceof AdminError) || error.code !== 'permission_denied') return;
    ports.refusedPermission(context.get('principal'), error.param ?? 'none', requestOriginOf(context));
  };
}

/** @throws Error with the routes that would be open to nobody: a defect, found when the gateway's control plane is built. */
export function refuseUnguarded(app: OpenAPIHono, isPublic: (path: string) => boolean): void {
  const permissions = permissionsOf(app);
  const unguarded = app.routes
    .filter(({ method, path }) => method !== 'ALL' && !isPublic(path))
    .map(({ method, path }) => `${method} ${path}`)
    .filter((route) => !permissions.has(route));
  if (unguarded.length > 0) throw new Error(`routes without a permission: ${[...new Set(unguarded)].join(', ')}`);
}

/** By method and path as the router writes them: `GET /admin/keys/:id`. */
export function permissionsOf(app: OpenAPIHono): ReadonlyMap<string, Needed> {
  const found = new Map<string, Needed>();
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== 'route') continue;
    const {
      method,
      path,
      [PERMISSION_FIELD]: permission,
    } = definition.route as typeof definition.route & { [PERMISSION_FIELD]?: unknown };
    if (!isNeeded(permission)) continue;
    found.set(`${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`, permission);
  }
  return found;
}

function isNeeded(value: unknown): value is Needed {
  return value === SELF || PERMISSIONS.includes(value as Permission);
}

function check(
  principal: Principal,
  permission: Permission | undefined,
  refused: (principal: Principal, missing: string) => void,
): void {
  if (permission !== undefined && mayAtAll(principal, permission)) return;
  refused(principal, permission ?? 'none');
  const message = permission === undefined ? 'Nobody may do this.' : missingText(principal, permission);
  throw new AdminError(403, 'permission_denied', message, { param: permission ?? null });
}
