import type { Accounts } from './accounts.ts';
import type { Principals } from './admission/principals.ts';
import type { RecordedRefusals } from './admission/recorded-refusals.ts';
import {
  refusedLogin,
  refusedOidc,
  refusedPassword,
  refusedPasswordChange,
  refusedPermission,
} from './admission/refusal-events.ts';
import { readGivenProvider } from './config/given-provider.ts';
import type { Reloader } from './config/reload.ts';
import type { RunTimeRouting } from './config/run-time-routing.ts';
import type { AuditOrigin, AuditSink } from './core/audit.ts';
import type { Clock } from './core/clock.ts';
import type { Logger } from './core/logger.ts';
import type { ReloadResult } from './core/reload.ts';
import type { Secret } from './core/secret.ts';
import type { AdminPorts, createAdminApp } from './http/admin/app.ts';
import type { BodyReader } from './http/read-body.ts';
import type { HealthProber } from './router/health.ts';
import type { Engine } from './router/serve.ts';
import type { TargetDirectory } from './router/targets.ts';
import type { DecisionRing } from './telemetry/decision-ring.ts';
import { VERSION } from './version.ts';

export interface ControlPlaneParts {
  readonly adminKey: Secret;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: TargetDirectory;
  readonly prober: HealthProber;
  readonly engine: Engine;
  readonly reloader: Reloader;
  readonly reload: (origin: AuditOrigin) => { readonly result: ReloadResult; readonly recorded: Promise<void> };
  readonly routing: RunTimeRouting;
  readonly decisions: DecisionRing;
  readonly providers: AdminPorts['providers'];
  readonly renewMasterKey: AdminPorts['renewMasterKey'];
  readonly bodies: BodyReader;
  readonly maxBodyBytes: number;
  readonly audit: AuditSink;
  readonly accounts: Accounts;
  readonly principals: Principals;
  readonly recordedRefusals: RecordedRefusals;
  readonly loopback: boolean;
  readonly publicUrl: string | null;
  readonly startedAtMs: number;
  /** How long a request waits for the first round of probes. */
  readonly firstRoundMs: () => number;
}

type AdminFetch = ReturnType<typeof createAdminApp>['fetch'];

/** Loaded at its first request: schemas and documents must not slow the start of a laptop's gateway. */
export async function openControlPlane(parts: ControlPlaneParts): Promise<AdminFetch> {
  const { createAdminApp } = await import('./http/admin/app.ts');
  const app = createAdminApp(adminPorts(parts));
  return (request, from) => app.fetch(request, from);
}

/** What the control plane shows and changes, by the parts of this gateway. Part of the composition root. */
function adminPorts(parts: ControlPlaneParts): AdminPorts {
  const { accounts, audit, clock, directory, engine, loopback, principals, prober, publicUrl } = parts;
  const { logger, recordedRefusals, reloader, routing } = parts;
  return {
    adminKey: parts.adminKey,
    targets: () => directory.views(),
    settings: () => reloader.config.settings,
    strategy: () => reloader.config.strategy,
    reload: async (origin) => {
      const { result, recorded } = parts.reload(origin);
      await recorded;
      return result;
    },
    configState: () => reloader.state,
    version: VERSION,
    uptimeMs: () => clock.nowMs() - parts.startedAtMs,
    providers: parts.providers,
    readProvider: readGivenProvider,
    configuredTargets: () => reloader.config.targets,
    renewMasterKey: parts.renewMasterKey,
    recordAudit: (event) => audit.record(event),
    decisions: parts.decisions,
    usage: () => accounts.reports,
    keyName: (id) => accounts.book.byId(id)?.name ?? null,
    ledger: () => accounts.ledgerVerification,
    keys: () => accounts.keys(),
    keysIfAny: () => accounts.keysIfAny(),
    budgets: () => accounts.sharedBudgets(),
    budgetsIfAny: () => accounts.sharedBudgetsIfAny(),
    routing,
    routeNames: () => ['default', ...routing.under().routes.keys()],
    audit: () => accounts.auditReports,
    failed: (error, { requestId }) => logger.error({ requestId, error }, 'an admin request failed'),
    refusedLogin: (from) => recordedRefusals.note(refusedLogin(from)),
    // Behind a proxy with TLS on the same machine browsers are to keep their cookies as over TLS.
    loopback: loopback && publicUrl?.startsWith('https:') !== true,
    principals: {
      ofToken: (text, address) => principals.ofToken(text, address),
      ofSession: (cookie, address) => principals.ofSession(cookie, address),
      hasOrganisation: async (id) =>
        ((await (await accounts.tenantsIfAny())?.organisations()) ?? []).some((one) => one.organisationId === id),
    },
    sessionsIfAny: () => accounts.peopleIfAny(),
    sessionBegun: (cookie) => principals.sessionBegun(cookie),
    tokenMade: (text) => principals.tokenMade(text),
    refusedPassword: (...refused) => recordedRefusals.note(refusedPassword(...refused)),
    refusedPasswordChange: (...refused) => recordedRefusals.note(refusedPasswordChange(...refused)),
    oidc: () => accounts.oidcLogins(),
    publicUrl,
    refusedOidc: (...refused) => recordedRefusals.note(refusedOidc(...refused)),
    users: () => accounts.people(),
    usersIfAny: () => accounts.peopleIfAny(),
    tokens: () => accounts.people(),
    tokensIfAny: () => accounts.peopleIfAny(),
    tenants: () => accounts.tenants(),
    tenantsIfAny: () => accounts.tenantsIfAny(),
    limits: () => accounts.limits(),
    limitsIfAny: () => accounts.limitsIfAny(),
    refusedPermission: (...refused) => recordedRefusals.note(refusedPermission(...refused)),
    prices: () => accounts.prices(),
    wallMs: () => clock.wallMs(),
    meaningOf: (name) => engine.meaningOf(name),
    chatRequests: {
      bodies: parts.bodies,
      maxBodyBytes: parts.maxBodyBytes,
      clock,
      routes: () => routing.under().routes,
    },
    explain: async (request) => {
      // A request would wait for it too.
      await prober.firstRound(parts.firstRoundMs());
      return engine.explain(request);
    },
  };
}
