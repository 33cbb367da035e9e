import { type Command, Option } from 'commander';
import { type AuditExportFlags, type AuditListFlags, auditExport, auditList, auditShow, auditVerify } from './audit.ts';
import { type AddRun, wantsJson } from './command-parts.ts';
import { ledgerVerify } from './ledger.ts';
import { listPrices, RATE_FLAGS, type RemoveFlags, removePrice, type SetFlags, setPrice, showPrice } from './prices.ts';
import type { JsonFlag } from './reply-text.ts';
import type { Terminal } from './terminal.ts';
import { type UsageExportFlags, type UsageFlags, usage, usageExport } from './usage.ts';

/** What is on record: what calls used and cost, at which prices, and who changed what. */
export function addRecordCommands(program: Command, terminal: Terminal, add: AddRun): void {
  addUsage(program, terminal, add);
  addLedger(program, terminal, add);
  addAudit(program, terminal, add);
  addPrices(program, terminal, add);
}

function addUsage(program: Command, terminal: Terminal, add: AddRun): void {
  const group = program
    .command('usage')
    .description(
      'show what upstream calls used and cost (kept with SWARMROUTER_USAGE=true, or once there is a client key)',
    );
  const sums = usageFilters(group.command('show', { isDefault: true }).description('sums, by model and target'))
    .option(
      '--by <groups>',
      'any of key, project, model, target, place, day, hour, joined by commas (default: model,target)',
    )
    .option('--json', 'as JSON');
  add(sums, (client) => usage(client, terminal, sums.opts<UsageFlags>()));

  const exporting = usageFilters(
    group.command('export').description('every call on record, oldest first, to standard output'),
  ).addOption(new Option('--format <format>', 'CSV, or lines of JSON (default: csv)').choices(['csv', 'json']));
  add(exporting, (client) => usageExport(client, terminal, exporting.opts<UsageExportFlags>()));
}

function usageFilters(command: Command): Command {
  return command
    .option('--project <id>', 'of this project only (default: all that you may see)')
    .option('--from <time>', 'a day or time, 2026-11-01 or 2026-11-01T06:00:00Z (default: 30 days ago)')
    .option('--to <time>', 'the same, excluded (default: now)');
}

function addLedger(program: Command, terminal: Terminal, add: AddRun): void {
  const ledger = program.command('ledger').description('the record of what upstream calls used and cost');
  const verify = ledger
    .command('verify')
    .description('check that calls and budgets agree; names the first broken invariant and the row (exit code 1)')
    .option('--json', 'as JSON, with all findings');
  add(verify, (client) => ledgerVerify(client, terminal, wantsJson(verify)));
}

function addAudit(program: Command, terminal: Terminal, add: AddRun): void {
  const audit = program.command('audit').description('who changed what at the gateway, and who was refused');
  const list = auditFilters(audit.command('list', { isDefault: true }).description('the entries, newest first'))
    .option('--limit <number>', 'at most this many, 1 to 1000 (default: 50)')
    .option('--cursor <cursor>', 'the next page: what the page before ended with')
    .option('--json', 'as JSON');
  add(list, (client) => auditList(client, terminal, list.opts<AuditListFlags>()));

  const shown = audit
    .command('show')
    .description('one entry, with all that it changed')
    .argument('<entry>', 'its number, as "audit list" shows it')
    .option('--json', 'as JSON');
  add(shown, (client) => auditShow(client, terminal, String(shown.args[0]), wantsJson(shown)));

  const exporting = auditFilters(
    audit.command('export').description('all entries with their hashes, oldest first, to standard output'),
  ).addOption(new Option('--format <format>', 'lines of JSON, or CSV (default: json)').choices(['json', 'csv']));
  add(exporting, (client) => auditExport(client, terminal, exporting.opts<AuditExportFlags>()));

  const verify = audit
    .command('verify')
    .description('check that no entry was changed, taken out, moved or cut off; names the first bad one (exit code 1)')
    .option('--json', 'as JSON');
  add(verify, (client) => auditVerify(client, terminal, wantsJson(verify)));
}

function auditFilters(command: Command): Command {
  return command
    .option('--from <time>', 'a day or time, 2026-11-01 or 2026-11-01T06:00:00Z (default: the first)')
    .option('--to <time>', 'the same, excluded (default: the latest)')
    .option('--actor <actor>', 'a kind, or a kind and an id: admin, key:key_1f')
    .option('--action <action>', "an action, or its beginning: provider.add, 'provider.*'")
    .option('--subject <subject>', 'what it was done to: provider:openrouter');
}

function addPrices(program: Command, terminal: Terminal, add: AddRun): void {
  const prices = program.command('prices').description('what models cost, and setting it, without a restart');
  const list = prices.command('list').description('the prices that were set').option('--json', 'as JSON');
  add(list, (client) => listPrices(client, terminal, list.opts<JsonFlag>()));

  const shown = prices
    .command('show')
    .description('what a model costs at each target, and where that price comes from')
    .argument('<model>', 'its name')
    .option('--json', 'as JSON');
  add(shown, (client) => showPrice(client, terminal, String(shown.args[0]), shown.opts<JsonFlag>()));

  const set = prices
    .command('set')
    .description('set what a model costs, from the next call on; it stays over restarts')
    .argument('<model>', 'its name')
    .option('--provider <name>', 'only at this target or provider (default: at every target, local ones too)');
  for (const [name, flag] of RATE_FLAGS) {
    const rest = name === 'input' || name === 'output' ? '' : ' (default: as its side)';
    set.option(`--${flag} <usd>`, `USD for a million tokens: ${flag.replaceAll('-', ' ')}${rest}`);
  }
  set.option('--per-request <usd>', 'USD on top of each request').option('--json', 'as JSON');
  add(set, (client) => setPrice(client, terminal, String(set.args[0]), set.opts<SetFlags>()));

  const remove = prices
    .command('remove')
    .description('remove a price that was set at run time')
    .argument('<model>', 'its name')
    .option('--provider <name>', 'as it was given when it was set')
    .option('--json', 'as JSON');
  add(remove, (client) => removePrice(client, terminal, String(remove.args[0]), remove.opts<RemoveFlags>()));
}
