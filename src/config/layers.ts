import type { Problem } from '../core/problem.ts';
import type { SettingInForce, SettingSource } from './config.ts';
import type { EnvFile } from './env-file.ts';
import { type Given, readValue, showSeen } from './read-value.ts';
import { flagOf, SETTING_LIST, SETTINGS, type Setting, type SettingKey, type Values, yamlKeyOf } from './schema.ts';
import type { SecretPlaces } from './secret-reference.ts';
import type { YamlFile } from './yaml-file.ts';

/** What was written, place by place. */
export interface Layers {
  readonly flags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly envFile: EnvFile;
  readonly yaml: YamlFile;
  /** How the YAML file is called: `swarmrouter.yaml`. */
  readonly yamlLabel: string;
}

interface Found extends Given {
  readonly source: SettingSource;
}

/** Every setting's value by precedence, and where it came from. A wrong one counts as its default, and is in `problems`. */
export function mergeLayers(
  layers: Layers,
  places: SecretPlaces,
): { values: Values; settings: SettingInForce[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const settings: SettingInForce[] = [];
  const values: Partial<Record<SettingKey, unknown>> = {};
  for (const [key, setting] of SETTING_LIST) {
    const found = strongest(setting, layers);
    const read = found === null ? null : readValue(setting.kind, found, places, problems);
    const value = read === null ? setting.default : read.value;
    values[key] = value;
    settings.push({
      name: setting.name,
      value: found !== null && read === null ? showSeen(setting.kind, found.value) : shown(setting, value),
      source: found?.source ?? 'default',
      where: found?.where ?? 'default',
      group: setting.group,
    });
  }
  // Each key was filled above by its own setting, which is what `Values` says.
  return { values: values as Values, settings, problems };
}

const shown = (setting: Setting<unknown>, value: unknown): string =>
  value === null || value === undefined ? '' : setting.kind.show(value);

/** The value of one setting before the YAML file has been read; for finding that very file. */
export function textBeforeYaml(key: SettingKey, layers: Omit<Layers, 'yaml' | 'yamlLabel'>): Given | null {
  const found = strongest(SETTINGS[key], { ...layers, yaml: NO_YAML, yamlLabel: '' });
  return found !== null && typeof found.value === 'string' ? found : null;
}

export const NO_YAML: YamlFile = {
  ...{ settings: [], aliases: null, targets: [], routes: [] },
  ...{ prices: null, localRates: null, problems: [] },
};
export const NO_ENV_FILE: EnvFile = { entries: new Map(), problems: [] };

function strongest(setting: Setting<unknown>, layers: Layers): Found | null {
  return (
    fromFlag(setting, layers) ??
    fromEnvironment(setting, layers) ??
    fromEnvFile(setting, layers) ??
    fromYaml(setting, layers)
  );
}

function fromFlag({ name }: Setting<unknown>, { flags }: Layers): Found | null {
  const flag = flagOf(name);
  const value = Object.hasOwn(flags, flag) ? flags[flag]?.trim() : undefined;
  return value ? { source: 'command line', where: 'the command line', name: `--${flag}`, value } : null;
}

function fromEnvironment({ name }: Setting<unknown>, { environment }: Layers): Found | null {
  const value = environment[name]?.trim();
  if (!value || isServiceLink(value)) return null;
  return { source: 'environment', where: 'the environment', name, value };
}

/**
 * Kubernetes gives every pod `<SERVICE>_PORT=tcp://10.0.0.1:8000` for each service beside it, so a service that is
 * called `swarmrouter` would break the gateway in its own pod. No setting takes such a value.
 */
export const isServiceLink = (value: string): boolean => /^(tcp|udp|sctp):\/\//.test(value);

function fromEnvFile({ name }: Setting<unknown>, { envFile }: Layers): Found | null {
  const entry = envFile.entries.get(name);
  const value = entry?.value.trim();
  return entry !== undefined && value ? { source: '.env', where: `.env line ${entry.line}`, name, value } : null;
}

function fromYaml({ name }: Setting<unknown>, { yaml, yamlLabel }: Layers): Found | null {
  const key = yamlKeyOf(name);
  const written = yaml.settings.find((entry) => entry.key === key);
  const entry = written ?? (key === 'model_aliases' ? yaml.aliases : null);
  if (entry === null || entry.value === null || entry.value.length === 0) return null;
  const value = typeof entry.value === 'string' ? entry.value.trim() : entry.value;
  if (value === '') return null;
  return { source: 'yaml', where: `${yamlLabel} line ${entry.line}`, name: entry.key, value };
}
