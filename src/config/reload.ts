import type { Logger } from '../core/logger.ts';
import type { Problem } from '../core/problem.ts';
import type { ConfigState, ReloadResult, TargetChanges } from '../core/reload.ts';
import type { Config, LoadResult } from './config.ts';
import { SETTING_LIST } from './schema.ts';

export interface ReloaderParts {
  /** Reads everything anew, as at the start. */
  readonly load: () => LoadResult;
  /** Puts a checked configuration in force, all at once. If it throws, it has changed nothing. */
  readonly apply: (config: Config) => TargetChanges;
  readonly logger: Logger;
  readonly wallMs: () => number;
}

/**
 * A changed configuration is read and checked whole; only then it counts, all at once. With any problem the old one
 * stays (faults F-48). All of it happens in one turn of the event loop, so no request sees half of it.
 */
export class Reloader {
  readonly #parts: ReloaderParts;
  readonly #start: Config;
  /** As it is written; in force but for what needs a restart. */
  #written: Config;
  #config: Config;
  #state: ConfigState;
  #files: readonly string[];

  constructor(config: Config, parts: ReloaderParts) {
    this.#start = config;
    this.#written = config;
    this.#config = config;
    this.#files = config.files;
    this.#parts = parts;
    this.#state = { version: 1, loadedAtWallMs: parts.wallMs(), needRestart: [], lastError: null };
  }

  /** The one in force. Settings that need a restart are those of the start. */
  get config(): Config {
    return this.#config;
  }

  get state(): ConfigState {
    return this.#state;
  }

  /** What the latest reload looked at, also when it was refused. */
  get files(): readonly string[] {
    return this.#files;
  }

  reload(): ReloadResult {
    const { load, apply, logger, wallMs } = this.#parts;
    const loaded = load();
    this.#files = loaded.ok ? loaded.config.files : loaded.files;
    if (!loaded.ok) return this.#refuse(loaded.problems);
    const written = loaded.config;
    const config = withoutRestart(this.#start, written);
    const targets = apply(config);
    const changed = changedNames(this.#written, written);
    const needRestart = changedNames(this.#start, written).filter((name) => NEED_RESTART.has(name));
    this.#written = written;
    this.#config = config;
    const isSame = changed.length === 0 && !isChanged(targets);
    this.#state = isSame
      ? { ...this.#state, lastError: null }
      : { version: this.#state.version + 1, loadedAtWallMs: wallMs(), needRestart, lastError: null };
    const { version } = this.#state;
    logger.info({ changed, targets, version }, isSame ? 'configuration is as it was' : 'configuration reloaded');
    if (needRestart.length > 0) logger.warn({ settings: needRestart }, 'these settings count only after a restart');
    return { ok: true, changed, needRestart, targets };
  }

  #refuse(problems: readonly Problem[]): ReloadResult {
    this.#state = { ...this.#state, lastError: { atWallMs: this.#parts.wallMs(), problems } };
    this.#parts.logger.error({ problems }, 'the changed configuration is wrong; the old one stays in force');
    return { ok: false, problems };
  }
}

/** Keys of targets are masked in the settings: their change shows only here. */
function isChanged({ added, removed, changed }: TargetChanges): boolean {
  return added.length + removed.length + changed.length > 0;
}

const NEED_RESTART: ReadonlySet<string> = new Set(
  SETTING_LIST.filter(([, setting]) => setting.restart).map(([, { name }]) => name),
);

/** What was written, with the values of the start where a change needs a restart. Pure. */
export function withoutRestart(start: Config, written: Config): Config {
  const { host, port, dataDir, adminKey, allowedHosts, drainTimeoutMs, usage, databaseUrl, keyPepper, masterKey } =
    start;
  const { maxBodyBytes, maxMemoryBytes, maxLoopLagMs, retryBudget, logLevel, logRequests, logResponses, decisions } =
    start;
  const { bodyTimeoutMs, slowBodyLimit, budgetAnswerTokens } = start;
  const { publicUrl, oidc, trustedProxies } = start;
  const atStart = new Map(start.settings.map((setting) => [setting.name, setting]));
  return {
    ...written,
    ...{ host, port, dataDir, adminKey, allowedHosts, drainTimeoutMs, usage, databaseUrl, keyPepper, masterKey },
    ...{ publicUrl, oidc, trustedProxies },
    ...{ maxBodyBytes, maxMemoryBytes, maxLoopLagMs, retryBudget, logLevel, logRequests, logResponses, decisions },
    ...{ bodyTimeoutMs, slowBodyLimit, budgetAnswerTokens },
    settings: written.settings.map((setting) =>
      NEED_RESTART.has(setting.name) ? (atStart.get(setting.name) ?? setting) : setting,
    ),
  };
}

const POWER_SETTINGS = ['SWARMROUTER_LOCAL_WATTS', 'SWARMROUTER_KWH_USD'];

/** Environment names, and lists of the YAML file. Keys of targets are masked in the settings: their change shows in the targets. Pure. */
export function changedNames(before: Config, after: Config): string[] {
  const old = new Map(before.settings.map(({ name, value }) => [name, value]));
  const changed = after.settings.filter(({ name, value }) => old.get(name) !== value).map(({ name }) => name);
  const keyChanged = before.adminKey?.reveal() !== after.adminKey?.reveal();
  if (keyChanged && !changed.includes('SWARMROUTER_ADMIN_KEY')) changed.push('SWARMROUTER_ADMIN_KEY');
  if (JSON.stringify([...before.routes]) !== JSON.stringify([...after.routes])) changed.push('routes');
  if (JSON.stringify(before.prices) !== JSON.stringify(after.prices)) changed.push('prices');
  // The settings' rate is one of them, and named already.
  const isNamed = changed.some((name) => POWER_SETTINGS.includes(name));
  if (!isNamed && JSON.stringify(before.localRates) !== JSON.stringify(after.localRates)) changed.push('local_rates');
  return changed;
}
