import { type Command, Option } from 'commander';
import type { LoadInput, LoadResult } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { flagOf, SETTING_LIST, type Setting } from '../config/schema.ts';
import { nearestName } from '../core/nearest-name.ts';
import type { Problem } from '../core/problem.ts';
import type { Terminal } from './terminal.ts';

const byFlag = new Map(SETTING_LIST.map(([, setting]) => [flagOf(setting.name), setting]));

/** A command may have a flag of its own that is called like a setting of the gateway. */
const settingOptions = new WeakSet<Option>();

/** Gives a command the settings as flags; `only` limits them, by environment name. */
export function addSettingFlags(command: Command, only?: readonly string[]): Command {
  for (const [flag, setting] of byFlag) {
    if (only !== undefined && !only.includes(setting.name)) continue;
    // The value is optional for the parser alone: a missing one is then listed with the other problems.
    const option = new Option(`--${flag} [${setting.kind.placeholder}]`, helpText(setting)).helpGroup(
      `${setting.group}:`,
    );
    if (setting.kind.type.endsWith('list') || setting.kind.type === 'map') option.argParser(joinRepeated);
    settingOptions.add(option);
    command.addOption(option);
  }
  return command;
}

/** `--lmstudio-url a --lmstudio-url b` means both. */
const joinRepeated = (value: string, before: unknown): string =>
  typeof before === 'string' ? `${before},${value}` : value;

const helpText = ({ doc, name, defaultDoc }: Setting<unknown>): string =>
  `${doc} (${name}; ${defaultDoc.startsWith('unset: ') ? defaultDoc : `default: ${defaultDoc}`})`;

/** Reads the settings with the flags that a command was given; mistakes on the command line are in the problems too. */
export function loadWithFlags(command: Command, terminal: Terminal, rest: Partial<LoadInput> = {}): LoadResult {
  const { flags, problems } = readFlags(command);
  const result = loadConfig({ ...rest, flags, environment: terminal.environment, directory: terminal.directory });
  if (problems.length === 0) return result;
  return result.ok
    ? { ok: false, problems, settings: result.config.settings, files: result.config.files }
    : { ...result, problems: [...problems, ...result.problems] };
}

function readFlags(command: Command): { flags: Record<string, string>; problems: Problem[] } {
  const flags: Record<string, string> = {};
  const problems: Problem[] = [];
  for (const option of command.options) {
    const flag = option.long?.slice(2) ?? '';
    const setting = settingOptions.has(option) ? byFlag.get(flag) : undefined;
    const value: unknown = command.getOptionValue(option.attributeName());
    if (setting === undefined || value === undefined) continue;
    if (typeof value === 'string') flags[flag] = value;
    else if (setting.kind.type === 'boolean') flags[flag] = 'true';
    else
      problems.push({
        ...ON_THE_COMMAND_LINE,
        name: `--${flag}`,
        message: 'it has no value',
        allowed: setting.kind.allowed,
        fix: `write --${flag} <${setting.kind.placeholder}>`,
      });
  }
  // A command that declared its arguments had them judged by the parser.
  const rest = command.registeredArguments.length > 0 ? NOTHING : readRest(command);
  return { flags: { ...flags, ...rest.flags }, problems: [...problems, ...rest.problems] };
}

const NOTHING = { flags: {}, problems: [] };
const ON_THE_COMMAND_LINE = { where: 'the command line', seen: null };

/** What the parser knew nothing about: unknown flags (judged with the settings) and words that belong nowhere. */
function readRest(command: Command): { flags: Record<string, string>; problems: Problem[] } {
  const flags: Record<string, string> = {};
  const problems: Problem[] = [];
  const commands = [
    'start',
    'check',
    'discover',
    'status',
    'top',
    'explain',
    'decisions',
    'reload',
    'providers',
    'aliases',
    'routes',
    'help',
  ];
  let afterFlag = false;
  for (const word of command.args) {
    if (word.startsWith('-')) {
      const [name = ''] = word.replace(/^-+/, '').split('=');
      flags[name] = 'unknown';
      afterFlag = !word.includes('=');
    } else if (afterFlag) {
      afterFlag = false;
    } else {
      const near = nearestName(word, commands);
      const fix = near === null ? 'remove it; see swarmrouter --help' : `did you mean ${near}`;
      problems.push({
        ...ON_THE_COMMAND_LINE,
        name: word,
        message: 'there is no such command or argument',
        allowed: null,
        fix,
      });
    }
  }
  return { flags, problems };
}
