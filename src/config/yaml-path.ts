import { homedir } from 'node:os';
import type { SettingInForce } from './config.ts';
import { absolutePath } from './data-dir.ts';

/** The YAML file when nobody names another. */
export const DEFAULT_YAML = 'swarmrouter.yaml';

/** The YAML file that a gateway with these settings reads, whether it is there or not; absolute. */
export function yamlPath(settings: readonly SettingInForce[], directory: string): string {
  const named = settings.find(({ name }) => name === 'SWARMROUTER_CONFIG')?.value;
  return absolutePath(named || DEFAULT_YAML, directory, { platform: process.platform, homeDirectory: homedir() });
}
