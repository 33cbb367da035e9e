// Every setting, declared once, in `settings`. Parsing, errors, .env.example, docs/reference/settings.md, the flags of
// the command line and `swarmrouter check` are all derived from this table.

import { CLOCKS } from './settings/clocks.ts';
import { CLOUDS } from './settings/clouds.ts';
import { LOCAL_SERVERS } from './settings/local-servers.ts';
import { LOGGING } from './settings/logging.ts';
import { LOGINS } from './settings/logins.ts';
import { ROUTING } from './settings/routing.ts';
import { SERVER } from './settings/server.ts';
import type { Setting } from './settings/setting.ts';
import { USAGE } from './settings/usage.ts';

export { SETTING_GROUPS, type Setting, type SettingGroup } from './settings/setting.ts';

/** In the order in which they are shown. */
export const SETTINGS = {
  ...LOCAL_SERVERS,
  ...CLOUDS,
  ...ROUTING,
  ...CLOCKS,
  ...SERVER,
  ...LOGINS,
  ...USAGE,
  ...LOGGING,
} as const;

export type SettingKey = keyof typeof SETTINGS;
/** The checked values, by key. */
export type Values = { readonly [K in SettingKey]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never };

/** The table as a list, in its order. */
export const SETTING_LIST = Object.entries(SETTINGS) as readonly (readonly [SettingKey, Setting<unknown>])[];

/** `SWARMROUTER_MAX_RETRIES` → `max_retries`, `LMSTUDIO_URL` → `lmstudio_url`. */
export const yamlKeyOf = (name: string): string => name.replace(/^SWARMROUTER_/, '').toLowerCase();
/** `SWARMROUTER_MAX_RETRIES` → `max-retries`, without the dashes in front. */
export const flagOf = (name: string): string => yamlKeyOf(name).replaceAll('_', '-');

export const isSecret = (setting: Setting<unknown>): boolean => setting.kind.type === 'secret';
