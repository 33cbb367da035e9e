import './zod-interpreted.ts';
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Secret } from '../../core/secret.ts';
import type { RequestOrigin } from '../connection.ts';
import { addAliasRoutes, type RoutingPorts } from './alias-routes.ts';
import { type AuditPorts, addAuditRoutes } from './audit-routes.ts';
import { type PrincipalSource, requirePrincipal } from './authentication.ts';
import { addBudgetRoutes, type BudgetPorts } from './budget-routes.ts';
import { addDecisionRoutes, type DecisionPorts } from './decision-routes.ts';
import { addDocsPage } from './docs-page/routes.ts';
import { AdminError, errorReply, type FailurePorts, replyToErrors } from './error-envelope.ts';
import { addExplainRoute, type ExplainPorts } from './explain-routes.ts';
import { replayWrites } from './idempotency.ts';
import { addKeyRoutes, type KeyPorts } from './key-routes.ts';
import { addLedgerRoutes, type LedgerPorts } from './ledger-routes.ts';
import { addLimitRoutes, type LimitPorts } from './limit-routes.ts';
import { addLoginPage } from './login-page/routes.ts';
import { addOidcRoutes, type OidcPorts } from './oidc-routes.ts';
import { addOpenApiDocument } from './openapi-document.ts';
import { addOverflowProviderRoutes } from './overflow-provider-routes.ts';
import { type PermissionPorts, refuseUnguarded, requirePermissions } from './permission.ts';
import { addPriceRoutes, type PricePorts } from './price-routes.ts';
import { addProviderRoutes, type ProviderPorts } from './provider-routes.ts';
import { addReloadRoute, type ReloadPorts } from './reload-routes.ts';
import { ReplayBook } from './replay-book.ts';
import { addRoutingRoutes } from './routing-routes.ts';
import { addSecretRoutes, type SecretPorts } from './secret-routes.ts';
import { addLoginRoute, addSessionRoutes, type SessionPorts } from './session-routes.ts';
import { addStatusRoute, type StatusPorts } from './status.ts';
import { addTenantRoutes, type TenantPorts } from './tenant-routes.ts';
import { addTokenRoutes, type TokenPorts } from './token-routes.ts';
import { addUsageRoutes, type UsagePorts } from './usage-routes.ts';
import { addUserRoutes, type UserPorts } from './user-routes.ts';

/** What the control plane shows and changes. */
export interface AdminPorts
  extends StatusPorts,
    ReloadPorts,
    ExplainPorts,
    DecisionPorts,
    UsagePorts,
    LedgerPorts,
    AuditPorts,
    KeyPorts,
    BudgetPorts,
    FailurePorts,
    PricePorts,
    PermissionPorts,
    ProviderPorts,
    RoutingPorts,
    LimitPorts,
    SecretPorts,
    OidcPorts,
    SessionPorts,
    TenantPorts,
    TokenPorts,
    UserPorts {
  readonly adminKey: Secret;
  /** People and machines besides whoever has the admin key. */
  readonly principals: PrincipalSource;
  /** Told of each login with a credential that opens nothing. */
  refusedLogin(from: RequestOrigin): void;
}

/**
 * The control plane: `/admin/*` behind a credential, and in public `/openapi.json`, `/docs` and what logs people in. Whoever calls it
 * has already checked `Host` and `Origin`.
 */
export function createAdminApp(ports: AdminPorts): {
  fetch(request: Request, from?: RequestOrigin): Response | Promise<Response>;
} {
  const app = buildAdminApp(ports);
  return { fetch: (request, from) => app.fetch(request, from) };
}

/** For tests, which read the routes from it. */
export function buildAdminApp(ports: AdminPorts): OpenAPIHono {
  const app = new OpenAPIHono();
  app.onError(replyToErrors(ports));
  app.notFound(notFound);
  app.use(async (context, next) => {
    context.set('bodies', ports.chatRequests.bodies);
    await next();
    context.header('cache-control', 'no-store');
    context.header('x-content-type-options', 'nosniff');
  });

  addDocsPage(app);
  addLoginPage(app);
  addOpenApiDocument(app, ports.version);
  addLoginRoute(app, ports);
  addOidcRoutes(app, ports);
  const open = new Set(app.routes.filter(({ method }) => method !== 'ALL').map(({ path }) => path));
  // Everything registered below this line, and every path that nothing answers, needs to be somebody's: no list of paths to forget one on.
  const { adminKey, principals, loopback } = ports;
  app.use('*', requirePrincipal({ adminKey, principals, loopback, refused: (from) => ports.refusedLogin(from) }));
  app.use('*', requirePermissions(app, ports));
  app.use('*', replayWrites(new ReplayBook(), ports.wallMs));
  addStatusRoute(app, ports);
  addExplainRoute(app, ports);
  addDecisionRoutes(app, ports);
  addUsageRoutes(app, ports);
  addLedgerRoutes(app, ports);
  addKeyRoutes(app, ports);
  addBudgetRoutes(app, ports);
  addLimitRoutes(app, ports);
  addTenantRoutes(app, ports);
  addUserRoutes(app, ports);
  addTokenRoutes(app, ports);
  addSessionRoutes(app, ports);
  addAuditRoutes(app, ports);
  addPriceRoutes(app, ports);
  addReloadRoute(app, ports);
  addProviderRoutes(app, ports);
  addOverflowProviderRoutes(app, ports.providers);
  addAliasRoutes(app, ports);
  addRoutingRoutes(app, ports);
  addSecretRoutes(app, ports);
  refuseOtherMethods(app);
  refuseUnguarded(app, (path) => open.has(path));
  return app;
}

function refuseOtherMethods(app: OpenAPIHono): void {
  const methodsByPath = new Map<string, Set<string>>();
  for (const { method, path } of app.routes) {
    if (method === 'ALL') continue;
    methodsByPath.set(path, (methodsByPath.get(path) ?? new Set()).add(method));
  }
  for (const [path, methods] of methodsByPath) {
    const allow = [...methods, ...(methods.has('GET') ? ['HEAD'] : [])].sort().join(', ');
    app.all(path, (context) => {
      throw new AdminError(405, 'method_not_allowed', `${context.req.method} is not allowed here: use ${allow}.`, {
        headers: { allow },
      });
    });
  }
}

function notFound(context: Parameters<typeof errorReply>[1]): Response {
  const path = context.req.path.slice(0, 200);
  const message = `Nothing is at ${context.req.method} ${path}. The endpoints are listed at GET /openapi.json and /docs.`;
  return errorReply(new AdminError(404, 'not_found', message), context);
}
