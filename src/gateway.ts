import { Accounts } from './accounts.ts';
import { vetAddress } from './adapters/address-guard.ts';
import { createAdapters, createSeeker } from './adapters/index.ts';
import { addressesOfThisMachine, type Listening, reachesListener } from './adapters/own-listener.ts';
import { clientAddressBehind } from './admission/client-address.ts';
import { leaseSettler } from './admission/lease-settler.ts';
import { OverloadGuard } from './admission/overload-guard.ts';
import { Principals } from './admission/principals.ts';
import { RecordedRefusals } from './admission/recorded-refusals.ts';
import { RefusalCounts } from './admission/refusal-counts.ts';
import { defaultMemoryLimitBytes, signsOfThisProcess } from './admission/this-process.ts';
import type { Config, LoadAnew } from './config/config.ts';
import { FoundKinds } from './config/found-kinds.ts';
import { Reloader } from './config/reload.ts';
import { reloadEvent } from './config/reload-event.ts';
import { RunTimeRouting } from './config/run-time-routing.ts';
import { targetFromGivenProvider } from './config/targets.ts';
import { isLoopbackHost } from './config/urls.ts';
import { watchFiles } from './config/watch-files.ts';
import { withGivenProviders } from './config/with-given-providers.ts';
import { openControlPlane } from './control-plane.ts';
import { type AuditOrigin, type AuditSink, systemOrigin } from './core/audit.ts';
import type { Billing } from './core/billing.ts';
import type { Clock } from './core/clock.ts';
import type { GivenProviderStore } from './core/given-provider.ts';
import { Once } from './core/once.ts';
import type { OutcomeSink } from './core/outcome.ts';
import type { ReloadResult } from './core/reload.ts';
import { RESERVED_PROVIDERS, type Target, type TargetId } from './core/target.ts';
import type { TargetView } from './core/target-view.ts';
import { createDoor } from './door.ts';
import { createGivenProviders, type GivenProviderService } from './http/admin/given-providers.ts';
import { drain } from './http/drain.ts';
import { BodyReader } from './http/read-body.ts';
import { type HttpServer, startHttpServer } from './http/server.ts';
import { HealthProber } from './router/health.ts';
import { openKeptBook } from './router/learned/kept-book.ts';
import { SlotTable } from './router/load.ts';
import { Engine } from './router/serve.ts';
import { TargetDirectory } from './router/targets.ts';
import { loadOrCreateAdminKey } from './stores/admin-key-file.ts';
import { givenProviderFile } from './stores/given-provider-file.ts';
import { learnedFile, MOST_LEARNED_BYTES } from './stores/learned-file.ts';
import { givenMasterKeys, masterKeyFile } from './stores/sealing/master-key-file.ts';
import { systemClock } from './system-clock.ts';
import { DecisionRing } from './telemetry/decision-ring.ts';
import { openLineOutput } from './telemetry/line-output.ts';
import { createLog, formatFor } from './telemetry/log.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { createRequestLog } from './telemetry/request-log.ts';
import { fanOut } from './telemetry/sinks.ts';
import { VERSION } from './version.ts';

export interface Gateway {
  readonly url: string;
  readonly port: number;
  /** The admin key was made at this start, and where it is kept; null: it was there. */
  readonly newAdminKeyPath: string | null;
  /** What a request to /v1 must bring along now; null: nothing. */
  credentialNeeded(): 'client key' | 'admin key' | null;
  targets(): readonly TargetView[];
  /** Resolves when each target has been probed once, at the latest after `atMostMs`. */
  probed(atMostMs: number): Promise<void>;
  /** Reads the configuration anew; with any problem the old one stays. */
  reload(): ReloadResult;
  /** Stops accepting, lets running requests finish for at most `graceMs`, then closes. True: all of them finished. */
  stop(graceMs: number): Promise<boolean>;
}

export interface GatewayOptions {
  readonly clock?: Clock;
  /** Further places where outcomes go (tests, demo). */
  readonly sink?: OutcomeSink;
  /** Who pays for upstream calls. Default: nobody keeps count. */
  readonly billing?: Billing;
  /** Reads the configuration anew for a reload. Default: it never changes. */
  readonly load?: LoadAnew;
  /** A file for the log lines. Default: standard output. */
  readonly logTo?: string;
}

const STDOUT = 1;
/** Of one reply of an identity provider: keys, or what it says of somebody. */
const MOST_PROVIDER_BYTES = 1_048_576;

/** The composition root: Config → running gateway. This file and those that it alone imports name concrete parts. */
export async function createGateway(config: Config, options: GatewayOptions = {}): Promise<Gateway> {
  const clock = options.clock ?? systemClock;
  const loopback = isLoopbackHost(config.host);
  const { publicUrl } = config;
  const log = createLog({
    level: config.logLevel,
    format: formatFor(process.stdout.isTTY === true && options.logTo === undefined),
    output: openLineOutput(options.logTo ?? STDOUT, clock),
    wallMs: () => clock.wallMs(),
  });

  const reloader = new Reloader(config, {
    load: () => options.load?.(server.port) ?? { ok: true, config },
    apply: (next) => {
      // First, as the only one that may throw.
      const changes = directory.reconcile(targetsOf(next));
      engine.configure(engineOptions(next, directory, routing));
      accounts.configurePrices(next);
      slots.queueLimit = next.queueLimit;
      prober.configure({ intervalMs: next.probeIntervalMs });
      return changes;
    },
    logger: log,
    wallMs: () => clock.wallMs(),
  });

  let listening: Listening | null = null;
  const isOwnListener = (address: string, port: number): boolean =>
    listening !== null && reachesListener(listening, address, port, addressesOfThisMachine);
  const foundKinds = new FoundKinds();
  const targetsOf = (of: Config): Target[] =>
    withGivenProviders(of, providers.inForce()).map((target) => foundKinds.of(target));
  const seeker = createSeeker({ clock, isOwnListener }, (target, kind) => {
    // Configured anew, or gone, while it was looked at.
    if (directory.get(target.id)?.target !== target) return;
    directory.put(foundKinds.found(target, kind));
    log.info({ target: target.id, url: target.baseUrl, kind }, 'the kind of the target was found');
  });
  const adapters = new Map(createAdapters({ clock, isOwnListener })).set('auto', seeker);
  const learned = await openKeptBook(learnedFile(config.dataDir), MOST_LEARNED_BYTES, clock, log);
  const directory = new TargetDirectory(adapters, clock, config.retryBudget, learned.book);
  const slots = new SlotTable(clock, directory, config.queueLimit);
  const prober = new HealthProber(directory, clock, log, { intervalMs: config.probeIntervalMs });
  const audit: AuditSink = { record: (event) => accounts.audit.record(event) };
  const masterKeys =
    config.masterKey === null ? masterKeyFile(config.dataDir) : givenMasterKeys(config.masterKey, config.dataDir);
  const providerFile = givenProviderFile(config.dataDir, masterKeys, (message) => log.warn({}, message));
  const providers = createProviders({
    current: () => reloader.config,
    file: providerFile,
    adapters,
    audit,
    isOwnListener,
    apply: async (changed) => {
      directory.reconcile(targetsOf(reloader.config));
      const entry = changed === null ? undefined : directory.get(changed);
      // The next request must find its models known, else it would be sent under a guessed name.
      if (entry !== undefined && prober.running) await prober.firstProbe(entry);
    },
  });
  await providers.restore();
  directory.reconcile(targetsOf(config));

  const bodies = new BodyReader(clock, { timeoutMs: config.bodyTimeoutMs, slowLimit: config.slowBodyLimit });
  const guard = createOverloadGuard(config, clock, () => server.running());
  const refusals = new RefusalCounts();
  const metrics = createMetrics({
    targets: () => directory.views(),
    version: VERSION,
    shed: () => guard.refused,
    refused: () => refusals.all(),
    budgets: () => accounts.budgetsUsed(),
    ledger: () => accounts.ledgerChecked,
  });
  const requestLog = createRequestLog({
    log,
    format: log.format,
    logRequests: config.logRequests,
    logResponses: config.logResponses,
  });
  const decisions = new DecisionRing(config.decisions, () => clock.wallMs());
  const ownSinks = [metrics, requestLog, decisions, leaseSettler];
  const sinks = options.sink === undefined ? ownSinks : [...ownSinks, options.sink];
  const routing = new RunTimeRouting({
    configured: () => reloader.config,
    store: () => accounts.routingStore(),
    wallMs: () => clock.wallMs(),
    logger: log,
  });
  const accounts = await Accounts.open(config, {
    ...{ clock, logger: log, directory, routing },
    fetch: async () => {
      const { createVettedFetch } = await import('./adapters/vetted-fetch.ts');
      return createVettedFetch({ clock, isOwnListener, maxBytes: MOST_PROVIDER_BYTES });
    },
  });
  // Only now, so that a start that is refused makes none.
  const adminKey = await orClose(accounts, () => resolveAdminKey(config));
  const principals = new Principals(() => accounts.peopleIfAny(), clock);
  const recordedRefusals = new RecordedRefusals({ audit, clock, logger: log });
  const { billing = accounts.billing } = options;
  const parts = { directory, prober, slots, clock, billing, logger: log, sink: fanOut(...sinks) };
  const engine = new Engine(parts, engineOptions(config, directory, routing));
  routing.onChange(() => engine.configure(engineOptions(reloader.config, directory, routing)));
  const door = createDoor({
    ...{ clock, loopback, engine, refusals, recordedRefusals },
    book: accounts.book,
    operatorKey: adminKey.key,
    sharedLimits: () => accounts.sharedLimits,
    countRefused: (caller) => metrics.countRefused(caller),
  });

  const startedAtMs = clock.nowMs();
  const controlPlane = new Once(() =>
    openControlPlane({
      ...{
        clock,
        logger: log,
        directory,
        prober,
        engine,
        reloader,
        reload,
        routing,
        decisions,
        providers,
        bodies,
        audit,
      },
      ...{ accounts, principals, recordedRefusals, loopback, publicUrl, startedAtMs },
      adminKey: adminKey.key,
      renewMasterKey: providerFile.renewMasterKey,
      maxBodyBytes: config.maxBodyBytes,
      firstRoundMs: () => firstRoundMs(directory),
    }),
  );
  const server: HttpServer = await orClose(accounts, () =>
    startHttpServer(
      {
        host: config.host,
        port: config.port,
        loopback,
        allowedHosts: [...config.allowedHosts, ...(publicUrl === null ? [] : [new URL(publicUrl).hostname])],
        maxBodyBytes: config.maxBodyBytes,
        version: VERSION,
      },
      {
        engine,
        clock,
        logger: log,
        bodies,
        clientAddress: clientAddressBehind(config.trustedProxies),
        ...door.ports,
        routes: () => routing.under().routes,
        modelAliases: () => routing.under().aliases,
        refuseOverload: () => guard.refuse()?.message ?? null,
        overload: () => guard.overload?.message ?? null,
        targets: () => directory.views(),
        probed: () => prober.firstRoundDone,
        firstRound: () => prober.firstRound(firstRoundMs(directory)),
        metricsText: () => metrics.text(),
        tapResponse: config.logResponses ? (id, caller) => requestLog.tapResponse(id, caller) : null,
        admin: () => controlPlane.get(),
      },
    ),
  );

  listening = { host: config.host, port: server.port };
  // Only now, so that a port that is taken leaves nothing running.
  prober.start();
  guard.start();
  const files = watchFiles(
    () => reloader.files,
    clock,
    () => void reload(systemOrigin('file')),
  );
  function reload(origin: AuditOrigin): { readonly result: ReloadResult; readonly recorded: Promise<void> } {
    const before = reloader.config;
    const result = files.reading(() => reloader.reload());
    const event = reloadEvent(before, reloader.config, result, origin);
    // It is in force by then: what is written in the files counts, whether or not it can be put on record.
    const recorded = event === null ? Promise.resolve() : audit.record(event).catch(logNotRecorded);
    return { result, recorded };
  }
  function logNotRecorded(error: unknown): void {
    log.error({ error: String(error) }, 'a reload could not be put on the audit log');
  }

  return {
    url: server.url,
    port: server.port,
    newAdminKeyPath: adminKey.newPath,
    credentialNeeded: () => door.credentialNeeded(),
    targets: () => directory.views(),
    probed: (atMostMs) => prober.firstRound(atMostMs),
    reload: () => reload(systemOrigin('signal')).result,
    stop: async (graceMs) => {
      const finished = await drain(server, clock, graceMs, (error) => engine.interrupt(error));
      await engine.stopDrains();
      prober.stop();
      guard.stop();
      bodies.stop();
      await learned.close();
      await recordedRefusals.close();
      await accounts.close();
      files.stop();
      await log.flush();
      return finished;
    },
  };
}

async function resolveAdminKey(config: Config) {
  if (config.adminKey !== null) return { key: config.adminKey, newPath: null };
  const stored = await loadOrCreateAdminKey(config.dataDir);
  return { key: stored.key, newPath: stored.created ? stored.path : null };
}

/** A port that is taken, or an admin key that cannot be read, leaves nothing running. */
async function orClose<Value>(accounts: Accounts, start: () => Value | Promise<Value>): Promise<Value> {
  try {
    return await start();
  } catch (error) {
    await accounts.close();
    throw error;
  }
}

interface ProviderParts {
  readonly current: () => Config;
  readonly file: GivenProviderStore;
  readonly adapters: ReturnType<typeof createAdapters>;
  readonly audit: AuditSink;
  readonly isOwnListener: (address: string, port: number) => boolean;
  readonly apply: (changed: TargetId | null) => Promise<void>;
}

function createProviders(parts: ProviderParts): GivenProviderService {
  const { current, file, adapters, audit, isOwnListener, apply } = parts;
  return createGivenProviders({
    vetAddress: async (url, network) => void (await vetAddress(url, { network, isOwnListener })),
    toTarget: (provider) => targetFromGivenProvider(provider, current()),
    probe: (target, signal) => {
      const adapter = adapters.get(target.adapterKind);
      if (adapter === undefined) throw new Error(`no adapter of kind "${target.adapterKind}"`);
      return adapter.probe(target, signal);
    },
    store: file,
    audit,
    apply,
    baseTargets: () => current().targets,
    reservedNames: ['auto', 'swarmrouter', ...RESERVED_PROVIDERS],
  });
}

/** A request that comes before the first round of probes has ended waits for it, at most as long as a connection may take. */
function firstRoundMs(directory: TargetDirectory): number {
  return Math.max(0, ...directory.entries().map(({ target }) => target.clocks.connectMs));
}

function createOverloadGuard(config: Config, clock: Clock, running: () => number): OverloadGuard {
  const { maxLoopLagMs, maxMemoryBytes } = config;
  const limits = { maxLoopLagMs, maxMemoryBytes: maxMemoryBytes ?? defaultMemoryLimitBytes() };
  return new OverloadGuard(clock, limits, signsOfThisProcess(running));
}

function engineOptions(config: Config, directory: TargetDirectory, routing: RunTimeRouting) {
  return {
    aliases: routing.under(config).aliases,
    defaultModel: config.defaultModel,
    standIn: config.standIn,
    strategy: config.strategy,
    streamRecovery: config.streamRecovery,
    maxFirstTokenMs: config.maxFirstTokenMs,
    maxRetries: config.maxRetries,
    retryDelayMs: config.retryDelayMs,
    queueTimeoutMs: config.queueTimeoutMs,
    requestTimeoutMs: config.requestTimeoutMs,
    firstRoundMs: firstRoundMs(directory),
    cancelGraceMs: config.cancelGraceMs,
    clientStallMs: config.clientStallMs,
    keepBodies: config.logRequests,
  };
}
