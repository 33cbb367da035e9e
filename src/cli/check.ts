import pico from 'picocolors';
import type { Config, LoadResult, SettingInForce } from '../config/config.ts';
import type { Target } from '../core/target.ts';
import { EXIT_OK, EXIT_WRONG_USE } from './exit-codes.ts';
import { problemsText } from './print-problems.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

/** Shows every setting as in force and every problem. Nothing is started, nobody is called. */
export function check(result: LoadResult, terminal: Terminal, asJson: boolean): number {
  if (asJson) terminal.out(JSON.stringify(jsonReport(result), null, 2));
  else if (result.ok)
    terminal.out(readable(result.config.settings, result.config.targets, hintTexts(result.config), terminal));
  else {
    terminal.out(settingsText(result.settings, terminal));
    terminal.error(`\n${problemsText(result.problems)}`);
  }
  return result.ok ? EXIT_OK : EXIT_WRONG_USE;
}

function jsonReport(result: LoadResult): unknown {
  if (!result.ok) return { ok: false, problems: result.problems, settings: result.settings };
  const { settings, targets } = result.config;
  return { ok: true, problems: [], settings, targets: targets.map(targetReport), hints: hintTexts(result.config) };
}

const targetReport = (target: Target) => ({
  id: target.id,
  kind: target.adapterKind,
  place: target.place,
  url: target.baseUrl,
  source: target.source,
  has_key: target.apiKey !== null,
  optional: target.optional,
});

function readable(
  settings: readonly SettingInForce[],
  targets: readonly Target[],
  hints: readonly string[],
  terminal: Terminal,
): string {
  const { bold } = pico.createColors(terminal.colours);
  const heading = ['TARGET', 'KIND', 'PLACE', 'URL', 'FROM'].map(bold);
  const rows = targets.map((target) => [
    target.id,
    target.adapterKind,
    target.place,
    target.baseUrl,
    target.optional ? 'looked for on this machine' : target.source,
  ]);
  const parts = [settingsText(settings, terminal), table([heading, ...rows])];
  if (hints.length > 0) parts.push(hints.join('\n'));
  return [...parts, 'The settings are fine.'].join('\n\n');
}

function settingsText(settings: readonly SettingInForce[], terminal: Terminal): string {
  const { bold, dim } = pico.createColors(terminal.colours);
  const rows = settings.map(({ name, value, where, source }) => {
    const row = [name, value === '' ? '(unset)' : value, where];
    return source === 'default' ? row.map(dim) : row;
  });
  return table([['SETTING', 'VALUE', 'FROM'].map(bold), ...rows]);
}

const hintTexts = ({ hints }: Pick<Config, 'hints'>): readonly string[] => hints.map(({ text }) => text);
