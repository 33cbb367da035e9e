import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { OidcSettings } from '../core/oidc.ts';
import type { Problem } from '../core/problem.ts';
import type { Route } from '../core/route.ts';
import { STRATEGY_NAMES } from '../core/strategy-names.ts';
import type { Config, LoadInput, LoadResult, SettingInForce } from './config.ts';
import { crossCheck } from './cross-checks.ts';
import { absolutePath, defaultDataDir } from './data-dir.ts';
import { type EnvFile, readEnvFile } from './env-file.ts';
import { hintsFor } from './hints.ts';
import { type Layers, mergeLayers, NO_ENV_FILE, NO_YAML, textBeforeYaml } from './layers.ts';
import { SETTING_LIST, type Values, yamlKeyOf } from './schema.ts';
import type { SecretPlaces } from './secret-reference.ts';
import { buildTargets, clocksFor, usualOf } from './targets.ts';
import { unknownNames } from './unknown-names.ts';
import type { YamlFile } from './yaml-file.ts';
import { DEFAULT_YAML } from './yaml-path.ts';
import { type PriceSpecs, readPrices } from './yaml-prices.ts';
import { ROUTE_FIELD_NAMES, type RouteSpec, readRoute } from './yaml-routes.ts';
import { readTarget, TARGET_FIELD_NAMES, type TargetSpec } from './yaml-targets.ts';

interface Surroundings extends Required<Omit<LoadInput, 'flags' | 'listeningOn'>> {
  readonly listeningOn: number | null;
  /** What has been read so far. */
  readonly files: Set<string>;
}

const YAML_NAMES = {
  settings: new Set(SETTING_LIST.filter(([, setting]) => setting.inYaml).map(([, setting]) => yamlKeyOf(setting.name))),
  target: TARGET_FIELD_NAMES,
  route: ROUTE_FIELD_NAMES,
};

/**
 * Reads all settings: command line, environment, `.env`, `swarmrouter.yaml`, default, the earlier the stronger.
 * Never throws for what a person wrote: every problem is listed at once.
 */
export function loadConfig(input: LoadInput): LoadResult {
  const files = new Set<string>();
  const readFile = input.readFile ?? readTextFile;
  const around: Surroundings = {
    environment: input.environment,
    directory: input.directory,
    strategies: input.strategies ?? STRATEGY_NAMES,
    readFile: (path) => {
      files.add(path);
      return readFile(path);
    },
    files,
    listeningOn: input.listeningOn ?? null,
    homeDirectory: input.homeDirectory ?? homedir(),
    platform: input.platform ?? process.platform,
  };
  const problems: Problem[] = [];
  const envFile = loadEnvFile(around, problems);
  const layers = { flags: input.flags, environment: input.environment, envFile };
  problems.push(...unknownNames(layers));
  const { yaml, yamlLabel } = loadYamlFile(layers, around, problems);
  return finish({ ...layers, yaml, yamlLabel }, around, problems);
}

function finish(layers: Layers, around: Surroundings, problems: Problem[]): LoadResult {
  const places = secretPlaces(layers, around);
  const merged = mergeLayers(layers, places);
  problems.push(...merged.problems, ...aliasesGivenTwice(layers));
  const specs = layers.yaml.targets
    .map((section) => readTarget(section, layers.yamlLabel, places, problems))
    .filter((spec) => spec !== null);
  const routes = layers.yaml.routes.map((section) =>
    readRoute(section, layers.yamlLabel, places, around.strategies, problems),
  );
  const prices = readPrices(layers.yaml, layers.yamlLabel, merged.values, problems);
  const wrong = new Set(merged.problems.map((problem) => settingNameOf(problem.name)));
  const { values } = merged;
  problems.push(...crossCheck({ values, settings: merged.settings, specs, strategies: around.strategies, wrong }));
  const settings = withDataDir(merged.settings, dataDirOf(values, around));
  if (problems.length > 0) return { ok: false, problems, settings, files: [...around.files] };
  return { ok: true, config: configFrom(values, { ...prices, targets: specs, routes }, settings, around) };
}

/** What only the YAML file can say. */
interface Specs extends PriceSpecs {
  readonly targets: readonly TargetSpec[];
  readonly routes: readonly RouteSpec[];
}

function configFrom(values: Values, specs: Specs, settings: readonly SettingInForce[], around: Surroundings): Config {
  const targets = buildTargets({ ...values, port: around.listeningOn ?? values.port }, specs.targets);
  return {
    host: values.host,
    port: values.port,
    dataDir: dataDirOf(values, around),
    adminKey: values.adminKey,
    allowedHosts: (values.allowedHosts ?? []).map((host) => host.toLowerCase()),
    trustedProxies: values.trustedProxies ?? [],
    strategy: values.strategy,
    streamRecovery: values.streamRecovery === 'continue',
    maxFirstTokenMs: values.maxFirstTokenMs,
    routes: routesOf(values, specs.routes, around.strategies),
    defaultModel: values.defaultModel,
    modelAliases: values.modelAliases ?? new Map(),
    standIn: values.standIn,
    maxRetries: values.maxRetries,
    retryDelayMs: values.retryDelayMs,
    queueTimeoutMs: values.queueTimeoutMs,
    queueLimit: values.queueLimit,
    retryBudget: { percent: values.retryBudgetPercent, floorPerSecond: values.retryBudgetFloor },
    cancelGraceMs: values.cancelGraceMs,
    clientStallMs: values.clientStallMs,
    maxMemoryBytes: values.maxMemoryMegabytes === null ? null : values.maxMemoryMegabytes * 1024 * 1024,
    maxLoopLagMs: values.maxLoopLagMs,
    requestTimeoutMs: values.requestTimeoutMs,
    probeIntervalMs: values.probeIntervalMs,
    drainTimeoutMs: values.drainTimeoutMs,
    maxBodyBytes: values.maxBodyMegabytes * 1024 * 1024,
    bodyTimeoutMs: values.bodyTimeoutMs,
    slowBodyLimit: values.slowBodyLimit,
    logLevel: LOG_LEVELS[values.logLevel],
    usage: values.usage,
    budgetAnswerTokens: values.budgetAnswerTokens,
    databaseUrl: values.databaseUrl,
    keyPepper: values.keyPepper,
    masterKey: values.masterKey,
    publicUrl: values.publicUrl,
    oidc: oidcOf(values),
    prices: specs.prices,
    localRates: specs.localRates,
    compareWith: values.compareWith ?? new Map(),
    logRequests: values.logRequests,
    logResponses: values.logResponses,
    decisions: values.decisions,
    targets,
    clocksFor: (place) => clocksFor(place, values),
    ...usualOf(values),
    settings,
    hints: hintsFor(values, targets),
    files: [...around.files],
  };
}

/** Whole or not at all: what goes together was checked before. */
function oidcOf(values: Values): OidcSettings | null {
  const { oidcIssuer: issuer, oidcClientId: clientId, oidcRoles: roles } = values;
  if (issuer === null || clientId === null || roles === null) return null;
  const { oidcClientSecret: clientSecret, oidcScopes: scopes, oidcNameClaim: nameClaim } = values;
  return { issuer, clientId, clientSecret, scopes, roles, nameClaim };
}

function routesOf(values: Values, specs: readonly RouteSpec[], strategies: readonly string[]): Map<string, Route> {
  const usual = values.streamRecovery === 'continue';
  const routes = new Map<string, Route>();
  for (const name of strategies) {
    routes.set(name, { name, strategy: name, streamRecovery: usual, maxFirstTokenMs: null });
  }
  for (const { name, strategy, stream_recovery, max_first_token_ms: maxFirstTokenMs } of specs) {
    const streamRecovery = stream_recovery === null ? usual : stream_recovery === 'continue';
    routes.set(name, { name, strategy: strategy ?? values.strategy, streamRecovery, maxFirstTokenMs });
  }
  return routes;
}

const LOG_LEVELS = { DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;

function loadEnvFile(around: Surroundings, problems: Problem[]): EnvFile {
  const text = readOrReport(join(around.directory, '.env'), '.env', around, problems);
  if (text === null) return NO_ENV_FILE;
  const file = readEnvFile(text);
  problems.push(...file.problems);
  return file;
}

function loadYamlFile(
  layers: Omit<Layers, 'yaml' | 'yamlLabel'>,
  around: Surroundings,
  problems: Problem[],
): { yaml: YamlFile; yamlLabel: string } {
  const given = textBeforeYaml('configFile', layers);
  const yamlLabel = typeof given?.value === 'string' ? given.value : DEFAULT_YAML;
  const before = problems.length;
  const text = readOrReport(absolutePath(yamlLabel, around.directory, around), yamlLabel, around, problems);
  if (text === null) {
    if (given !== null && problems.length === before) {
      const message = 'there is no such file';
      problems.push({
        where: given.where,
        name: given.name,
        seen: yamlLabel,
        message,
        allowed: 'the path of a YAML file',
        fix: 'correct the path',
      });
    }
    return { yaml: NO_YAML, yamlLabel };
  }
  const yaml = yamlReader().readYamlFile(text, yamlLabel, YAML_NAMES);
  problems.push(...yaml.problems);
  return { yaml, yamlLabel };
}

/** null: the file is not there, or cannot be read, which is then a problem. */
function readOrReport(path: string, label: string, around: Surroundings, problems: Problem[]): string | null {
  try {
    return around.readFile(path);
  } catch (error) {
    const message = `the file cannot be read (${error instanceof Error ? error.message : String(error)})`;
    problems.push({
      where: path,
      name: label,
      seen: null,
      message,
      allowed: null,
      fix: 'make it readable, or remove it',
    });
    return null;
  }
}

export function readTextFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null;
    throw error;
  }
}

function secretPlaces({ environment, envFile }: Layers, around: Surroundings): SecretPlaces {
  return {
    variable: (name) => environment[name]?.trim() || envFile.entries.get(name)?.value.trim() || null,
    readFile: (path) => around.readFile(absolutePath(path, around.directory, around)),
  };
}

function aliasesGivenTwice({ yaml, yamlLabel }: Layers): Problem[] {
  const other = yaml.settings.find((entry) => entry.key === 'model_aliases');
  if (other === undefined || yaml.aliases === null) return [];
  const message = `it says the same as model_aliases in line ${other.line}`;
  return [
    {
      where: `${yamlLabel} line ${yaml.aliases.line}`,
      name: 'aliases',
      seen: null,
      message,
      allowed: null,
      fix: 'keep one of the two',
    },
  ];
}

/** The environment name of a setting, however a problem calls it. */
function settingNameOf(written: string): string {
  const key = written.replace(/^--/, '').replaceAll('-', '_').toLowerCase();
  return (
    SETTING_LIST.find(([, { name }]) => name.toLowerCase() === key || yamlKeyOf(name) === key)?.[1].name ?? written
  );
}

function dataDirOf(values: Values, around: Surroundings): string {
  return values.dataDir === null ? defaultDataDir(around) : absolutePath(values.dataDir, around.directory, around);
}

/** People look here for where their data is, so the folder in force is shown also when nobody set it. */
const withDataDir = (settings: readonly SettingInForce[], dataDir: string): SettingInForce[] =>
  settings.map((setting) => (setting.name === 'SWARMROUTER_DATA_DIR' ? { ...setting, value: dataDir } : setting));

/** The YAML library takes a tenth of the start; most laptops have no YAML file. */
function yamlReader(): typeof import('./yaml-file.ts') {
  return require('./yaml-file.ts');
}
