import type { OidcSettings } from '../core/oidc.ts';
import type { LocalRate, PriceOverride } from '../core/price-override.ts';
import type { Problem } from '../core/problem.ts';
import type { Route } from '../core/route.ts';
import type { Secret } from '../core/secret.ts';
import type { Place, Target, TargetClocks } from '../core/target.ts';
import type { Hint } from './hints.ts';

/** Strongest first: a setting given in two places counts where this list names it first. */
export const SETTING_SOURCES = ['command line', 'environment', '.env', 'yaml', 'default'] as const;
export type SettingSource = (typeof SETTING_SOURCES)[number];

/** One setting as it counts now, for `swarmrouter check` and `/admin/status`. */
export interface SettingInForce {
  /** The environment name. */
  readonly name: string;
  /** The value as a person would write it, secrets masked; empty: unset. */
  readonly value: string;
  readonly source: SettingSource;
  /** `.env line 3`, `swarmrouter.yaml line 7`; `default` when nobody set it. */
  readonly where: string;
  readonly group: string;
}

/** Everything the gateway was told, checked. Frozen in time: a change of settings makes a new one. */
export interface Config {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Absolute. Not created here. */
  readonly dataDir: string;
  /** null: the gateway makes one and keeps it in the data folder. */
  readonly adminKey: Secret | null;
  /** `Host` names accepted on loopback besides the loopback ones; lower case, without a port. */
  readonly allowedHosts: readonly string[];
  /** Addresses and networks (`10.0.0.0/8`) whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  readonly strategy: string;
  readonly streamRecovery: boolean;
  /** null: no limit. */
  readonly maxFirstTokenMs: number | null;
  /** By what `x-swarmrouter-route` may say: the routes of the YAML file, and each strategy by its own name. */
  readonly routes: ReadonlyMap<string, Route>;
  readonly defaultModel: string | null;
  /** Asked name → target model (it may be provider-qualified). */
  readonly modelAliases: ReadonlyMap<string, string>;
  readonly standIn: StandIn;
  readonly maxRetries: number;
  readonly retryDelayMs: number;
  readonly queueTimeoutMs: number;
  /** Requests that may wait for one target at once. */
  readonly queueLimit: number;
  readonly retryBudget: { readonly percent: number; readonly floorPerSecond: number };
  readonly cancelGraceMs: number;
  readonly clientStallMs: number;
  /** null: three quarters of the memory there is. */
  readonly maxMemoryBytes: number | null;
  readonly maxLoopLagMs: number;
  readonly requestTimeoutMs: number;
  readonly probeIntervalMs: number;
  readonly drainTimeoutMs: number;
  readonly maxBodyBytes: number;
  readonly bodyTimeoutMs: number;
  readonly slowBodyLimit: number;
  readonly logLevel: LogLevel;
  /** Upstream calls are on record in a database. */
  readonly usage: boolean;
  /** Under a hard budget, of an answer whose length the client does not limit; tokens. */
  readonly budgetAnswerTokens: number;
  /** PostgreSQL; null: SQLite in the data folder. */
  readonly databaseUrl: Secret | null;
  /** What client keys are hashed with, 64 hexadecimal digits; null: kept in the data folder. */
  readonly keyPepper: Secret | null;
  /** The newest first. Null: one is made at first use and kept in the data folder. */
  readonly masterKey: readonly [Secret, ...Secret[]] | null;
  /** Where browsers reach the gateway, without a path; null: at a loopback name, which each request says. */
  readonly publicUrl: string | null;
  /** Null: people log in with passwords alone. */
  readonly oidc: OidcSettings | null;
  /** Prices that the YAML file sets. */
  readonly prices: readonly PriceOverride[];
  /** What answers of local servers cost; whoever has none is free. */
  readonly localRates: readonly LocalRate[];
  /** Local model → the cloud's that its answers are compared with; `*`: all that have no other. */
  readonly compareWith: ReadonlyMap<string, string>;
  readonly logRequests: boolean;
  readonly logResponses: boolean;
  /** Routing decisions kept in memory; 0: none. */
  readonly decisions: number;
  readonly targets: readonly Target[];
  /** What counts for a target given at run time that says nothing else. */
  clocksFor(place: Place): TargetClocks;
  readonly maxConcurrent: number | null;
  readonly assemble: boolean;
  /** Every setting as in force, in the order of the schema. */
  readonly settings: readonly SettingInForce[];
  /** Readable hints for the start-up lines: what to set next. Each a sentence; empty when nothing is left to say. */
  readonly hints: readonly Hint[];
  /** The files that were read, those with secrets included, or would have been had they been there; absolute. */
  readonly files: readonly string[];
}

export type StandIn = 'always' | 'unknown' | 'never';
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type LoadResult =
  | { readonly ok: true; readonly config: Config }
  | {
      readonly ok: false;
      readonly problems: readonly Problem[];
      readonly settings: readonly SettingInForce[];
      /** As in `Config`. */
      readonly files: readonly string[];
    };

/** Reads the configuration of a gateway that runs already, on this port. */
export type LoadAnew = (port: number) => LoadResult;

/** All that loading depends on, so that it is a function of its input. */
export interface LoadInput {
  /** Flags by name without the dashes: `{ 'max-retries': '5' }`. */
  readonly flags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where `.env` and `swarmrouter.yaml` are looked for, and what relative paths start from. Absolute. */
  readonly directory: string;
  /** Names of the routing strategies there are; default: all that are built in. */
  readonly strategies?: readonly string[];
  /** The text of a file; null: there is no such file. May throw: the reason is listed as a problem. Default: the file system. */
  readonly readFile?: (path: string) => string | null;
  /** The port of the gateway that runs already: no model server is looked for there. Default: the port of the settings. */
  readonly listeningOn?: number;
  /** Default: the user's. */
  readonly homeDirectory?: string;
  /** Default: the process's. */
  readonly platform?: string;
}
