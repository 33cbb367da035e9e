import { NO_AUDIT } from '../../core/audit.ts';
import type { Clock } from '../../core/clock.ts';
import type { GivenProvider, GivenProviderStore } from '../../core/given-provider.ts';
import type { RoutingDesk } from '../../core/routing.ts';
import { Secret } from '../../core/secret.ts';
import { NOTHING_SAID, type Target, type TargetSnapshot } from '../../core/target.ts';
import type { TargetView } from '../../core/target-view.ts';
import { BodyReader } from '../read-body.ts';
import type { AdminPorts } from './app.ts';
import { createGivenProviders, type GivenProviderPorts, type GivenProviderService } from './given-providers.ts';

const STOPPED_CLOCK: Clock = { nowMs: () => 0, wallMs: () => 0, after: () => () => undefined };

/** Parts for the tests of the control plane; each test changes what it is about. */
export const ADMIN_KEY = 'swr_admin_test0123456789abcdefghijklmnopq';

export function someTarget(changes: Partial<Target> = {}): Target {
  return {
    id: 'lmstudio',
    provider: 'lmstudio',
    adapterKind: 'lm-studio',
    place: 'local',
    baseUrl: 'http://localhost:1234',
    apiKey: null,
    source: 'environment',
    optional: false,
    network: 'any',
    maxConcurrent: null,
    clocks: { connectMs: 1, firstByteMs: 1, firstTokenMs: 1, idleMs: 1, warmupMs: 1, streamMs: 1, queueMs: null },
    defaultModel: null,
    deployments: new Map(),
    apiVersion: null,
    continuesAnswers: null,
    assembleWholeReplies: true,
    ...changes,
  };
}

export function someView(changes: Partial<TargetView> = {}): TargetView {
  return {
    target: someTarget(),
    health: 'up',
    healthReason: null,
    snapshot: null,
    inFlight: 0,
    queued: 0,
    slots: 4,
    stats: { requests: 0, errors: 0, errorRate: 0, latencyP50Ms: null, latencyP95Ms: null, lastError: null },
    probedAtWallMs: null,
    learned: [],
    ...changes,
  };
}

export const SNAPSHOT: TargetSnapshot = {
  models: [
    { ...NOTHING_SAID, id: 'big', alsoKnownAs: [], kind: 'chat', state: 'loaded', contextLength: 8192 },
    { ...NOTHING_SAID, id: 'small', alsoKnownAs: ['tiny'], kind: 'chat', state: 'loaded' },
  ],
  slots: null,
  version: '1.2',
  warming: false,
  listsEverything: true,
  load: null,
  notes: [],
};

/** The provider as a target, as the composition root would make it. */
function asTarget(provider: GivenProvider): Target {
  const { name, kind, url, apiKey } = provider;
  const isCloud = ['openrouter', 'azure-openai', 'openai-compatible'].includes(kind);
  return someTarget({
    id: name,
    provider: name,
    adapterKind: kind,
    place: provider.place ?? (isCloud ? 'cloud' : 'local'),
    baseUrl: url ?? 'https://openrouter.ai/api/v1',
    apiKey,
    source: 'admin',
  });
}

/** A live directory, a store in memory and a record of what was asked of them. */
export function providerFixture({
  baseTargets = [],
  ...changes
}: Partial<Omit<GivenProviderPorts, 'baseTargets'>> & { readonly baseTargets?: readonly Target[] } = {}) {
  const live = new Map<string, Target>(baseTargets.map((target) => [target.id, target]));
  const disk: { stored: readonly GivenProvider[]; failure: Error | null } = { stored: [], failure: null };
  const events: string[] = [];
  const store: GivenProviderStore = {
    load: async () => disk.stored,
    async save(providers) {
      await Bun.sleep(1);
      events.push('save');
      if (disk.failure !== null) throw disk.failure;
      disk.stored = providers;
    },
  };
  const ports: GivenProviderPorts = {
    async vetAddress(url, network) {
      events.push('vet');
      if (network === 'public' && url.includes('10.0.0.'))
        throw new Error('10.0.0.2 is a private address; give "network": "lan" when it is meant');
    },
    toTarget: asTarget,
    async probe() {
      events.push('probe');
      return SNAPSHOT;
    },
    store,
    apply(changed) {
      if (changed !== null) events.push('put');
      live.clear();
      for (const target of [...baseTargets, ...service.inForce().map(asTarget)]) live.set(target.id, target);
    },
    audit: NO_AUDIT,
    baseTargets: () => baseTargets,
    reservedNames: ['auto', 'lmstudio', 'openrouter', 'azure'],
    ...changes,
  };
  const service: GivenProviderService = createGivenProviders(ports);
  return { ports, live, disk, events, service };
}

const nothingThere = () => Promise.reject(new Error('there is no store'));
const NO_ROUTING: RoutingDesk = {
  aliases: () => [],
  routes: () => [],
  ...{ setAlias: nothingThere, setRoute: nothingThere, removeAlias: nothingThere, removeRoute: nothingThere },
};

export function adminPorts(changes: Partial<AdminPorts> = {}): AdminPorts {
  return {
    adminKey: new Secret(ADMIN_KEY),
    targets: () => [someView()],
    settings: () => [{ name: 'SWARMROUTER_PORT', value: 8000, source: 'default' }],
    strategy: () => 'local-first',
    configState: () => ({ version: 1, loadedAtWallMs: 1_700_000_000_000, needRestart: [], lastError: null }),
    reload: async () => ({
      ok: true,
      changed: [],
      needRestart: [],
      targets: { added: [], removed: [], changed: [], kept: [] },
    }),
    version: '9.9.9',
    uptimeMs: () => 12_345,
    providers: providerFixture().service,
    readProvider: () => ({ ok: false, problems: [] }),
    configuredTargets: () => [],
    routing: NO_ROUTING,
    usage: () => null,
    keyName: () => null,
    ledger: () => null,
    keys: () => Promise.reject(new Error('there is no store')),
    keysIfAny: () => Promise.resolve(null),
    budgets: () => Promise.reject(new Error('there is no store')),
    budgetsIfAny: () => Promise.resolve(null),
    routeNames: () => ['default'],
    audit: () => null,
    refusedLogin: () => undefined,
    failed: () => undefined,
    refusedPermission: () => undefined,
    principals: { ofToken: async () => null, ofSession: async () => null, hasOrganisation: async () => false },
    loopback: true,
    renewMasterKey: null,
    recordAudit: async () => undefined,
    refusedPassword: () => undefined,
    refusedPasswordChange: () => undefined,
    refusedOidc: () => undefined,
    oidc: () => null,
    publicUrl: null,
    sessionsIfAny: () => Promise.resolve(null),
    sessionBegun: () => undefined,
    tokenMade: () => undefined,
    users: () => Promise.reject(new Error('there is no store')),
    usersIfAny: () => Promise.resolve(null),
    tokens: () => Promise.reject(new Error('there is no store')),
    tokensIfAny: () => Promise.resolve(null),
    tenants: () => Promise.reject(new Error('there is no store')),
    tenantsIfAny: () => Promise.resolve(null),
    limits: () => Promise.reject(new Error('there is no store')),
    limitsIfAny: () => Promise.resolve(null),
    prices: () => Promise.reject(new Error('no prices here')),
    wallMs: () => 1_700_000_000_000,
    meaningOf: (name) => ({ name, pin: null }),
    decisions: { capacity: 0, recent: () => [], find: () => null },
    explain: async () => ({
      noRoute: { status: 503, code: 'no_target_available', message: 'nobody', leftOut: [], retryAfterMs: null },
    }),
    chatRequests: {
      bodies: new BodyReader(STOPPED_CLOCK, { timeoutMs: 20_000, slowLimit: 64 }),
      maxBodyBytes: 1_048_576,
      clock: STOPPED_CLOCK,
      routes: () => new Map(),
    },
    ...changes,
  };
}
