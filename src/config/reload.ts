import type { Logger } from '../core/logger.ts';
import type { ConfigState, ReloadResult, TargetChanges } from '../core/reload.ts';
import type { Config, LoadResult, Problem } from './config.ts';
import { SETTING_LIST } from './schema.ts';

export interface ReloaderParts {
  /** Reads everything anew, as at the start. */
  readonly load: () => LoadResult;
  /** Puts a checked configuration in force, all at once. Must not throw half way. */
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
  #config: Config;
  #state: ConfigState;

  constructor(config: Config, parts: ReloaderParts) {
    this.#config = config;
    this.#parts = parts;
    this.#state = { version: 1, loadedAtWallMs: parts.wallMs(), lastError: null };
  }

  /** The one in force; settings that need a restart are shown as they are written. */
  get config(): Config {
    return this.#config;
  }

  get state(): ConfigState {
    return this.#state;
  }

  reload(): ReloadResult {
    const { load, apply, logger, wallMs } = this.#parts;
    const loaded = load();
    if (!loaded.ok) return this.#refuse(loaded.problems);
    const settings = changedSettings(this.#config, loaded.config);
    const targets = apply(loaded.config);
    this.#config = loaded.config;
    this.#state = { version: this.#state.version + 1, loadedAtWallMs: wallMs(), lastError: null };
    logger.info({ ...settings, ...targets, version: this.#state.version }, 'configuration reloaded');
    if (settings.needRestart.length > 0) {
      logger.warn({ settings: settings.needRestart }, 'these settings count only after a restart');
    }
    return { ok: true, ...settings, targets };
  }

  #refuse(problems: readonly Problem[]): ReloadResult {
    this.#state = { ...this.#state, lastError: { atWallMs: this.#parts.wallMs(), problems } };
    this.#parts.logger.error({ problems }, 'the changed configuration is wrong; the old one stays in force');
    return { ok: false, problems };
  }
}

const NEED_RESTART: ReadonlySet<string> = new Set(
  SETTING_LIST.filter(([, setting]) => setting.restart).map(([, { name }]) => name),
);

/** Environment names. Keys of targets are masked in the settings: their change shows in the targets. Pure. */
export function changedSettings(before: Config, after: Config): { changed: string[]; needRestart: string[] } {
  const old = new Map(before.settings.map(({ name, value }) => [name, value]));
  const changed = after.settings.filter(({ name, value }) => old.get(name) !== value).map(({ name }) => name);
  const keyChanged = before.adminKey?.reveal() !== after.adminKey?.reveal();
  if (keyChanged && !changed.includes('SWARMROUTER_ADMIN_KEY')) changed.push('SWARMROUTER_ADMIN_KEY');
  return { changed, needRestart: changed.filter((name) => NEED_RESTART.has(name)) };
}
