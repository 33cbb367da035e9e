import { nearestName } from '../core/nearest-name.ts';
import type { Problem } from '../core/problem.ts';
import { isServiceLink, type Layers } from './layers.ts';
import { flagOf, SETTING_LIST } from './schema.ts';

const NAMES = SETTING_LIST.map(([, setting]) => setting.name);
const KNOWN = new Set(NAMES);
const FLAGS = new Set(NAMES.map(flagOf));

/** In `.env` every name is ours to judge; in the environment other programs' LMSTUDIO_*, AZURE_* and so on are no mistake. */
const OURS_IN_ENV_FILE = /^(SWARMROUTER|LMSTUDIO|OPENROUTER|AZURE)_/;
const OURS_IN_ENVIRONMENT = /^SWARMROUTER_/;
const SERVICE_LINK_NAME = /^SWARMROUTER_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$/;

/** Names that look like settings and are none, each with the one that was probably meant. */
export function unknownNames(layers: Pick<Layers, 'flags' | 'environment' | 'envFile'>): Problem[] {
  const problems: Problem[] = [];
  for (const flag of Object.keys(layers.flags)) {
    if (!FLAGS.has(flag))
      problems.push(unknown(`--${flag}`, 'the command line', 'flag', nearestName(flag, FLAGS), '--'));
  }
  for (const [name, value] of Object.entries(layers.environment)) {
    if (!OURS_IN_ENVIRONMENT.test(name) || KNOWN.has(name) || !value) continue;
    if (isServiceLink(value) || SERVICE_LINK_NAME.test(name)) continue;
    problems.push(unknown(name, 'the environment', 'setting', nearestName(name, NAMES)));
  }
  for (const [name, { line }] of layers.envFile.entries) {
    if (!OURS_IN_ENV_FILE.test(name) || KNOWN.has(name)) continue;
    problems.push(unknown(name, `.env line ${line}`, 'setting', nearestName(name, NAMES)));
  }
  return problems;
}

function unknown(name: string, where: string, what: string, near: string | null, prefix = ''): Problem {
  const fix =
    near === null ? `remove it; docs/reference/settings.md lists every ${what}` : `did you mean ${prefix}${near}`;
  return { where, name, seen: null, message: `there is no such ${what}`, allowed: null, fix };
}
