import { type Command, Option } from 'commander';
import {
  type CreateBudgetFlags,
  createBudget,
  listBudgets,
  removeBudget,
  showBudget,
  type UpdateBudgetFlags,
  updateBudget,
} from './budgets.ts';
import { type AddRun, each } from './command-parts.ts';
import { EXPIRY_ALLOWED, type KeyFlags } from './key-flags.ts';
import {
  createKey,
  type ListKeysFlags,
  listKeys,
  type RotateFlags,
  revokeKey,
  rotateKey,
  showKey,
  updateKey,
} from './keys.ts';
import type { JsonFlag } from './reply-text.ts';
import type { Terminal } from './terminal.ts';

/** Who may call the gateway, and what that may cost. */
export function addKeyCommands(program: Command, terminal: Terminal, add: AddRun): void {
  addKeys(program, terminal, add);
  addBudgets(program, terminal, add);
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
    .option('--expires <when>', EXPIRY_ALLOWED)
    .option('--metadata <name=value>', 'for your own books; several times', each)
    .option('--json', 'as JSON');
}

function addKeys(program: Command, terminal: Terminal, add: AddRun): void {
  const keys = program.command('keys').description('who may call the gateway, for what, and how much');
  const create = keyFlags(
    keys
      .command('create')
      .description('make a key; from the first one on, every request needs one')
      .requiredOption('--name <name>', 'for people'),
  );
  add(create, (client) => createKey(client, terminal, create.opts<KeyFlags & JsonFlag>()));

  const list = keys
    .command('list', { isDefault: true })
    .description('all keys, oldest first')
    .option('--project <id>', 'of this project only')
    .addOption(new Option('--state <state>', 'only those').choices(['live', 'expired', 'revoked']))
    .option('--json', 'as JSON');
  add(list, (client) => listKeys(client, terminal, list.opts<ListKeysFlags>()));

  const named = (command: Command): Command => command.argument('<key>', 'its id, its name, or how its text begins');
  const show = named(keys.command('show').description('one key, with what its budgets have spent')).option(
    '--json',
    'as JSON',
  );
  add(show, (client) => showKey(client, terminal, String(show.args[0]), show.opts<JsonFlag>()));

  const update = keyFlags(
    named(keys.command('update').description('change a key; in force for the next request')).option(
      '--name <name>',
      'for people',
    ),
  );
  add(update, (client) => updateKey(client, terminal, String(update.args[0]), update.opts<KeyFlags & JsonFlag>()));

  const rotate = named(
    keys
      .command('rotate')
      .description('give a key a new text; the one before goes on for a while, an older one ends at once'),
  )
    .option('--grace <seconds>', 'how long it goes on (default: 86400, a day)')
    .option('--json', 'as JSON');
  add(rotate, (client) => rotateKey(client, terminal, String(rotate.args[0]), rotate.opts<RotateFlags>()));

  const revoke = named(keys.command('revoke').description('end a key, at once and for good')).option(
    '--json',
    'as JSON',
  );
  add(revoke, (client) => revokeKey(client, terminal, String(revoke.args[0]), revoke.opts<JsonFlag>()));
}

function addBudgets(program: Command, terminal: Terminal, add: AddRun): void {
  const budgets = program
    .command('budgets')
    .description('what several keys may spend together; --budget of a key is its own');
  const list = budgets
    .command('list', { isDefault: true })
    .description('budgets of the organisation, of projects and of models, with what they have spent')
    .option('--json', 'as JSON');
  add(list, (client) => listBudgets(client, terminal, list.opts<JsonFlag>()));

  const show = budgets
    .command('show')
    .description('one of them, with what it has spent and what is set aside')
    .argument('<id>', 'as "budgets list" shows it')
    .option('--json', 'as JSON');
  add(show, (client) => showBudget(client, terminal, String(show.args[0]), show.opts<JsonFlag>()));

  const create = budgets
    .command('create')
    .description('limit what all keys, those of a project, or all calls of a model may cost')
    .option('--organisation', 'for all keys together')
    .option('--project <id>', 'for the keys of this project')
    .option('--model <name>', 'for calls of this model, as its servers call it')
    .requiredOption('--budget <amount>', '100usd/month or 1000000tokens/day; also week, total')
    .option('--soft', 'it refuses nothing, it only warns')
    .option('--json', 'as JSON');
  add(create, (client) => createBudget(client, terminal, create.opts<CreateBudgetFlags>()));

  const update = budgets
    .command('update')
    .description('change its limit; in force for the next call')
    .argument('<id>', 'as "budgets list" shows it')
    .option('--limit <amount>', '200usd or 1000000tokens')
    .option('--hard', 'it refuses what would go over it')
    .option('--soft', 'it refuses nothing, it only warns')
    .option('--json', 'as JSON');
  add(update, (client) => updateBudget(client, terminal, String(update.args[0]), update.opts<UpdateBudgetFlags>()));

  const remove = budgets
    .command('remove')
    .description('it limits nothing any more; what it counted stays on record')
    .argument('<id>', 'as "budgets list" shows it')
    .option('--json', 'as JSON');
  add(remove, (client) => removeBudget(client, terminal, String(remove.args[0]), remove.opts<JsonFlag>()));
}
