import { Command, CommanderError, Option } from 'commander';
import type { Config, LoadAnew, LoadResult } from '../config/config.ts';
import { readTextFile } from '../config/load.ts';
import { VERSION } from '../version.ts';
import { type AdminClient, adminClient } from './admin-client.ts';
import { type AuditExportFlags, type AuditListFlags, auditExport, auditList, auditShow, auditVerify } from './audit.ts';
import {
  type CreateBudgetFlags,
  createBudget,
  listBudgets,
  removeBudget,
  type UpdateBudgetFlags,
  updateBudget,
} from './budgets.ts';
import { check } from './check.ts';
import { each } from './command-parts.ts';
import { type DecisionFlags, decisions } from './decisions.ts';
import type { DiscoverFlags } from './discover.ts';
import { EXIT_OK, EXIT_WRONG_USE } from './exit-codes.ts';
import { type ExplainFlags, explain } from './explain.ts';
import type { KeyFlags } from './key-flags.ts';
import {
  createKey,
  type JsonFlag,
  type ListKeysFlags,
  listKeys,
  type RotateFlags,
  revokeKey,
  rotateKey,
  showKey,
  updateKey,
} from './keys.ts';
import { ledgerVerify } from './ledger.ts';
import { addPeopleCommands } from './people-commands.ts';
import { listPrices, RATE_FLAGS, type RemoveFlags, removePrice, type SetFlags, setPrice, showPrice } from './prices.ts';
import { problemsText } from './print-problems.ts';
import { reload } from './reload.ts';
import { addRoutingCommands } from './routing-commands.ts';
import { addSettingFlags, loadWithFlags } from './setting-flags.ts';
import { status } from './status.ts';
import type { Terminal } from './terminal.ts';
import { type TopFlags, top } from './top.ts';
import { unknownCommand } from './unknown-command.ts';
import { type UsageExportFlags, type UsageFlags, usage, usageExport } from './usage.ts';

/** Runs the gateway until it ends; resolves with the exit code. */
export type StartGateway = (config: Config, load: LoadAnew) => Promise<number>;

// Loaded only when it is needed: `--version` and `check` need no HTTP server.
const startGatewayProcess: StartGateway = async (config, load) => (await import('../main.ts')).main(config, load);

/** Runs `swarmrouter <arguments>`; resolves with the exit code and never throws for what a person typed. */
export async function runProgram(
  words: readonly string[],
  terminal: Terminal,
  start: StartGateway = startGatewayProcess,
): Promise<number> {
  let exitCode = EXIT_OK;
  const program = buildProgram(terminal, start, (code) => {
    exitCode = code;
  });
  const unknown = unknownCommand(program, words);
  if (unknown !== null) {
    terminal.error(unknown);
    return EXIT_WRONG_USE;
  }
  try {
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Commander has written its message already. Help and version end with 0, everything else is wrong use.
    return error.exitCode === 0 ? EXIT_OK : EXIT_WRONG_USE;
  }
}

type Finish = (exitCode: number) => void;

function buildProgram(terminal: Terminal, start: StartGateway, finish: Finish): Command {
  const program = new Command('swarmrouter')
    .description(
      'One OpenAI-compatible door in front of your own model servers and the cloud: local first, overflow when needed.',
    )
    .version(VERSION, '-v, --version', 'print the version')
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.error(text.trimEnd()),
    })
    // Only the parser takes their values as optional (see setting-flags).
    .configureHelp({ optionTerm: (option) => option.flags.replace(/\[(.*)\]/, '<$1>') })
    .addHelpText(
      'after',
      '\nEvery setting is also an environment variable, a line of .env and a key of swarmrouter.yaml.\n"swarmrouter start --help" lists them.',
    );
  addStart(program, terminal, start, finish);
  addCheck(program, terminal, finish);
  addDiscover(program, terminal, finish);
  addStatus(program, terminal, finish);
  addTop(program, terminal, finish);
  addExplain(program, terminal, finish);
  addDecisions(program, terminal, finish);
  addKeys(program, terminal, finish);
  addBudgets(program, terminal, finish);
  addPeopleCommands(program, terminal, (command, run) => adminCommand(command, terminal, finish, run));
  addUsage(program, terminal, finish);
  addLedger(program, terminal, finish);
  addAudit(program, terminal, finish);
  addPrices(program, terminal, finish);
  addReload(program, terminal, finish);
  addRoutingCommands(program, terminal, (command, run) => adminCommand(command, terminal, finish, run));
  return program;
}

function addStart(program: Command, terminal: Terminal, start: StartGateway, finish: Finish): void {
  const command = program
    .command('start', { isDefault: true })
    .description('run the gateway (the default command)')
    .allowUnknownOption()
    .allowExcessArguments();
  addSettingFlags(command).action(async () => {
    const result = loadWithFlags(command, terminal);
    if (result.ok)
      return finish(await start(result.config, (port) => loadWithFlags(command, terminal, { listeningOn: port })));
    terminal.error(`${problemsText(result.problems)}\n\nEvery setting and where it came from: swarmrouter check`);
    finish(EXIT_WRONG_USE);
  });
}

function addCheck(program: Command, terminal: Terminal, finish: Finish): void {
  const command = program
    .command('check')
    .description('show every setting as in force, where it came from, and every problem')
    .option('--json', 'as JSON')
    .allowUnknownOption()
    .allowExcessArguments();
  addSettingFlags(command).action(() => {
    finish(check(loadWithFlags(command, terminal), terminal, command.opts()['json'] === true));
  });
}

function addDiscover(program: Command, terminal: Terminal, finish: Finish): void {
  const command = program
    .command('discover')
    .description('look for model servers on this machine or the network, and print what makes them targets')
    .option('--subnet <networks...>', 'IPv4 networks such as 192.168.1.0/24, up to /20')
    .option('--host <names...>', 'machines, by name or address (default: this one)')
    .option('--ports <ports...>', 'ports to look at (default: 1234 11434 8080 9931 8000 30000)')
    .option('--config <file>', 'the YAML file to add to (default: the one that the gateway reads)')
    .option('--json', 'as JSON')
    .option('--write', 'add what is not configured yet to the YAML file');
  command.action(async () => {
    // It brings the adapters with it, which no other command needs.
    const { discover } = await import('./discover.ts');
    finish(await discover(terminal, command.opts<DiscoverFlags>()));
  });
}

/** The settings that say where the running gateway is and what its admin key is. */
const CONNECTION_SETTINGS = [
  'SWARMROUTER_HOST',
  'SWARMROUTER_PORT',
  'SWARMROUTER_ADMIN_KEY',
  'SWARMROUTER_DATA_DIR',
  'SWARMROUTER_CONFIG',
];

/**
 * Where the gateway is. Whatever else is wrong in the YAML file is for the gateway to tell: it goes on with what it read
 * before, and `status` shows why.
 */
function loadConnection(command: Command, terminal: Terminal): LoadResult {
  const result = loadWithFlags(command, terminal);
  if (result.ok || result.problems.some(({ name }) => CONNECTION_SETTINGS.includes(name))) return result;
  const known = result.settings.filter(({ name, value }) => PLACE_SETTINGS.includes(name) && value !== '');
  const { SWARMROUTER_CONFIG: _, ...given } = terminal.environment;
  const environment = { ...given, ...Object.fromEntries(known.map(({ name, value }) => [name, value])) };
  const again = loadWithFlags(
    command,
    { ...terminal, environment },
    { readFile: (path) => (path.endsWith('.env') ? readTextFile(path) : null) },
  );
  return again.ok ? again : result;
}

const PLACE_SETTINGS = ['SWARMROUTER_HOST', 'SWARMROUTER_PORT', 'SWARMROUTER_DATA_DIR'];

/** A command that talks to the running gateway. */
function adminCommand(
  command: Command,
  terminal: Terminal,
  finish: Finish,
  run: (client: AdminClient, command: Command) => Promise<number>,
): void {
  command.option('--url <url>', 'address of the gateway');
  command.option('--in <organisation>', 'act in this organisation; only whoever runs the gateway may');
  addSettingFlags(command, CONNECTION_SETTINGS).action(async () => {
    const result = loadConnection(command, terminal);
    if (!result.ok) {
      terminal.error(problemsText(result.problems));
      return finish(EXIT_WRONG_USE);
    }
    const { url = null, in: organisation = null } = command.opts<{ url?: string; in?: string }>();
    finish(await run(adminClient(result.config, url, organisation), command));
  });
}

const wantsJson = (command: Command): boolean => command.opts()['json'] === true;

function addStatus(program: Command, terminal: Terminal, finish: Finish): void {
  const command = program.command('status').description('show how the running gateway is').option('--json', 'as JSON');
  adminCommand(command, terminal, finish, (client) => status(client, terminal, wantsJson(command)));
}

function addTop(program: Command, terminal: Terminal, finish: Finish): void {
  const command = program
    .command('top')
    .description('watch the running gateway: nodes, slots, speeds, the latest decisions; q ends it')
    .option('--interval <time>', 'time between two looks: 1s, 500ms (default: 1s)')
    .option('--once', 'one look, without taking over the screen')
    .option('--json', 'one look, as JSON');
  adminCommand(command, terminal, finish, (client) => top(client, terminal, command.opts<TopFlags>()));
}

function addExplain(program: Command, terminal: Terminal, finish: Finish): void {
  const command = program
    .command('explain')
    .description('show where a chat request would go now, why, and at what cost; sends nothing')
    .option('-m, --model <model>', 'the model to ask for')
    .option('-p, --prompt <text>', 'one message of the user')
    .option('-f, --file <path>', 'the JSON body of a request; - reads standard input')
    .addOption(
      new Option(
        '--header <header>',
        "a header of the request, such as 'x-swarmrouter-place: local'; may be repeated",
      ).argParser((header: string, before: readonly string[] = []) => [...before, header]),
    )
    .option('--json', 'as JSON');
  adminCommand(command, terminal, finish, (client) => explain(client, terminal, command.opts<ExplainFlags>()));
}

function addDecisions(program: Command, terminal: Terminal, finish: Finish): void {
  const command = program
    .command('decisions')
    .description('show where the latest requests went, and why')
    .argument('[id]', 'the x-request-id of one, to see all of it')
    .option('--limit <number>', 'at most this many, 1 to 1000 (default: 50)')
    .option('--target <id>', 'only those that this target answered or was asked for')
    .option('--model <model>', 'only those that asked for this model or were answered by it')
    .option('--json', 'as JSON');
  adminCommand(command, terminal, finish, (client) =>
    decisions(client, terminal, command.args[0] ?? null, command.opts<DecisionFlags>()),
  );
}

/** What is said of a key, at first and later. */
function keyFlags(command: Command): Command {
  return command
    .option('--project <id>', 'whose it is (default: default); made when there is none')
    .option('--owner <text>', 'the person or team')
    .option('--rpm <number>', 'requests in any 60 seconds; none: no limit')
    .option('--tpm <number>', 'tokens in any 60 seconds, prompts and answers; none: no limit')
    .option('--concurrent <number>', 'requests at once; none: no limit')
    .option('--budget <amount>', '20usd/month or 1000000tokens/day; also week, total; several times; none', each)
    .option('--soft', 'the budgets refuse nothing, they only warn')
    .option('--models <names>', 'joined by commas, qwen* for all that begin so; any')
    .option('--places <places>', 'local, cloud, or any')
    .option('--routes <names>', 'joined by commas; any')
    .option('--expires <when>', '90d, 12h, 2030-01-31, or never')
    .option('--metadata <name=value>', 'for your own books; several times', each)
    .option('--json', 'as JSON');
}

function addKeys(program: Command, terminal: Terminal, finish: Finish): void {
  const keys = program.command('keys').description('who may call the gateway, for what, and how much');
  const create = keyFlags(
    keys
      .command('create')
      .description('make a key; from the first one on, every request needs one')
      .requiredOption('--name <name>', 'for people'),
  );
  adminCommand(create, terminal, finish, (client) => createKey(client, terminal, create.opts<KeyFlags & JsonFlag>()));

  const list = keys
    .command('list', { isDefault: true })
    .description('all keys, oldest first')
    .option('--project <id>', 'of this project only')
    .addOption(new Option('--state <state>', 'only those').choices(['live', 'expired', 'revoked']))
    .option('--json', 'as JSON');
  adminCommand(list, terminal, finish, (client) => listKeys(client, terminal, list.opts<ListKeysFlags>()));

  const named = (command: Command): Command => command.argument('<key>', 'its id, its name, or how its text begins');
  const show = named(keys.command('show').description('one key, with what its budgets have spent')).option(
    '--json',
    'as JSON',
  );
  adminCommand(show, terminal, finish, (client) =>
    showKey(client, terminal, String(show.args[0]), show.opts<JsonFlag>()),
  );

  const update = keyFlags(
    named(keys.command('update').description('change a key; in force for the next request')).option(
      '--name <name>',
      'for people',
    ),
  );
  adminCommand(update, terminal, finish, (client) =>
    updateKey(client, terminal, String(update.args[0]), update.opts<KeyFlags & JsonFlag>()),
  );

  const rotate = named(keys.command('rotate').description('give a key a new text; the one before goes on for a while'))
    .option('--grace <seconds>', 'how long it goes on (default: 86400, a day)')
    .option('--json', 'as JSON');
  adminCommand(rotate, terminal, finish, (client) =>
    rotateKey(client, terminal, String(rotate.args[0]), rotate.opts<RotateFlags>()),
  );

  const revoke = named(keys.command('revoke').description('end a key, at once and for good')).option(
    '--json',
    'as JSON',
  );
  adminCommand(revoke, terminal, finish, (client) =>
    revokeKey(client, terminal, String(revoke.args[0]), revoke.opts<JsonFlag>()),
  );
}

function addBudgets(program: Command, terminal: Terminal, finish: Finish): void {
  const budgets = program
    .command('budgets')
    .description('what several keys may spend together; --budget of a key is its own');
  const list = budgets
    .command('list', { isDefault: true })
    .description('budgets of the organisation, of projects and of models, with what they have spent')
    .option('--json', 'as JSON');
  adminCommand(list, terminal, finish, (client) => listBudgets(client, terminal, list.opts<JsonFlag>()));

  const create = budgets
    .command('create')
    .description('limit what all keys, those of a project, or all calls of a model may cost')
    .option('--organisation', 'for all keys together')
    .option('--project <id>', 'for the keys of this project')
    .option('--model <name>', 'for calls of this model, as its servers call it')
    .requiredOption('--budget <amount>', '100usd/month or 1000000tokens/day; also week, total')
    .option('--soft', 'it refuses nothing, it only warns')
    .option('--json', 'as JSON');
  adminCommand(create, terminal, finish, (client) => createBudget(client, terminal, create.opts<CreateBudgetFlags>()));

  const update = budgets
    .command('update')
    .description('change its limit; in force for the next call')
    .argument('<id>', 'as "budgets list" shows it')
    .option('--limit <amount>', '200usd or 1000000tokens')
    .option('--hard', 'it refuses what would go over it')
    .option('--soft', 'it refuses nothing, it only warns')
    .option('--json', 'as JSON');
  adminCommand(update, terminal, finish, (client) =>
    updateBudget(client, terminal, String(update.args[0]), update.opts<UpdateBudgetFlags>()),
  );

  const remove = budgets
    .command('remove')
    .description('it limits nothing any more; what it counted stays on record')
    .argument('<id>', 'as "budgets list" shows it')
    .option('--json', 'as JSON');
  adminCommand(remove, terminal, finish, (client) =>
    removeBudget(client, terminal, String(remove.args[0]), remove.opts<JsonFlag>()),
  );
}

function addUsage(program: Command, terminal: Terminal, finish: Finish): void {
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
  adminCommand(sums, terminal, finish, (client) => usage(client, terminal, sums.opts<UsageFlags>()));

  const exporting = usageFilters(
    group.command('export').description('every call on record, oldest first, to standard output'),
  ).addOption(new Option('--format <format>', 'CSV, or lines of JSON (default: csv)').choices(['csv', 'json']));
  adminCommand(exporting, terminal, finish, (client) =>
    usageExport(client, terminal, exporting.opts<UsageExportFlags>()),
  );
}

function usageFilters(command: Command): Command {
  return command
    .option('--project <id>', 'of this project only (default: all that you may see)')
    .option('--from <time>', 'a day or time, 2026-11-01 or 2026-11-01T06:00:00Z (default: 30 days ago)')
    .option('--to <time>', 'the same, excluded (default: now)');
}

function addLedger(program: Command, terminal: Terminal, finish: Finish): void {
  const ledger = program.command('ledger').description('the record of what upstream calls used and cost');
  const verify = ledger
    .command('verify')
    .description('check that calls and budgets agree; names the first broken invariant and the row (exit code 1)')
    .option('--json', 'as JSON, with all findings');
  adminCommand(verify, terminal, finish, (client) => ledgerVerify(client, terminal, wantsJson(verify)));
}

function addAudit(program: Command, terminal: Terminal, finish: Finish): void {
  const audit = program.command('audit').description('who changed what at the gateway, and who was refused');
  const list = auditFilters(audit.command('list', { isDefault: true }).description('the entries, newest first'))
    .option('--limit <number>', 'at most this many, 1 to 1000 (default: 50)')
    .option('--cursor <cursor>', 'the next page: what the page before ended with')
    .option('--json', 'as JSON');
  adminCommand(list, terminal, finish, (client) => auditList(client, terminal, list.opts<AuditListFlags>()));

  const shown = audit
    .command('show')
    .description('one entry, with all that it changed')
    .argument('<entry>', 'its number, as "audit list" shows it')
    .option('--json', 'as JSON');
  adminCommand(shown, terminal, finish, (client) =>
    auditShow(client, terminal, String(shown.args[0]), wantsJson(shown)),
  );

  const exporting = auditFilters(
    audit.command('export').description('all entries with their hashes, oldest first, to standard output'),
  ).addOption(new Option('--format <format>', 'lines of JSON, or CSV (default: json)').choices(['json', 'csv']));
  adminCommand(exporting, terminal, finish, (client) =>
    auditExport(client, terminal, exporting.opts<AuditExportFlags>()),
  );

  const verify = audit
    .command('verify')
    .description('check that no entry was changed, taken out, moved or cut off; names the first bad one (exit code 1)')
    .option('--json', 'as JSON');
  adminCommand(verify, terminal, finish, (client) => auditVerify(client, terminal, wantsJson(verify)));
}

function auditFilters(command: Command): Command {
  return command
    .option('--from <time>', 'a day or time, 2026-11-01 or 2026-11-01T06:00:00Z (default: the first)')
    .option('--to <time>', 'the same, excluded (default: the latest)')
    .option('--actor <actor>', 'a kind, or a kind and an id: admin, key:key_1f')
    .option('--action <action>', "an action, or its beginning: provider.add, 'provider.*'")
    .option('--subject <subject>', 'what it was done to: provider:openrouter');
}

function addPrices(program: Command, terminal: Terminal, finish: Finish): void {
  const prices = program.command('prices').description('what models cost, and setting it, without a restart');
  const list = prices.command('list').description('the prices that were set').option('--json', 'as JSON');
  adminCommand(list, terminal, finish, (client) => listPrices(client, terminal, wantsJson(list)));

  const shown = prices
    .command('show')
    .description('what a model costs at each target, and where that price comes from')
    .argument('<model>', 'its name')
    .option('--json', 'as JSON');
  adminCommand(shown, terminal, finish, (client) =>
    showPrice(client, terminal, String(shown.args[0]), wantsJson(shown)),
  );

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
  adminCommand(set, terminal, finish, (client) =>
    setPrice(client, terminal, String(set.args[0]), set.opts<SetFlags>()),
  );

  const remove = prices
    .command('remove')
    .description('remove a price that was set at run time')
    .argument('<model>', 'its name')
    .option('--provider <name>', 'as it was given when it was set')
    .option('--json', 'as JSON');
  adminCommand(remove, terminal, finish, (client) =>
    removePrice(client, terminal, String(remove.args[0]), remove.opts<RemoveFlags>()),
  );
}

function addReload(program: Command, terminal: Terminal, finish: Finish): void {
  const command = program
    .command('reload')
    .description('have the running gateway read its configuration anew; with any problem it keeps the old one')
    .option('--json', 'as JSON');
  adminCommand(command, terminal, finish, (client) => reload(client, terminal, wantsJson(command)));
}
