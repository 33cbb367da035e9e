import type { Command } from 'commander';
import { type AddRun, each, json } from './command-parts.ts';
import { EXPIRY_ALLOWED } from './key-flags.ts';
import { type LimitFlags, listLimits, removeLimit, setLimit } from './limits.ts';
import {
  type ChangeUserFlags,
  createToken,
  createUser,
  listTokens,
  listUsers,
  type NewTokenFlags,
  type NewUserFlags,
  revokeToken,
  showToken,
  showUser,
  updateUser,
  whoami,
} from './people.ts';
import type { JsonFlag } from './reply-text.ts';
import { rotateSecrets } from './secrets.ts';
import { createTenant, listTenants, renameTenant, type TenantKind } from './tenants.ts';
import type { Terminal } from './terminal.ts';

const ROLE = 'owner, admin, operator, auditor or member; of one project: member:web; several times';

/** Who may administer the gateway, for which tenants, and what several keys share. */
export function addPeopleCommands(program: Command, terminal: Terminal, add: AddRun): void {
  const who = json(program.command('whoami').description('who you are to the gateway, and what you may do'));
  add(who, (client) => whoami(client, terminal, who.opts<JsonFlag>()));
  addUsers(program.command('users').description('people who may log in, and their roles'), terminal, add);
  addTokens(program.command('tokens').description('credentials of machines for the admin API'), terminal, add);
  addTenants(program.command('projects').description('parts of an organisation'), 'projects', terminal, add);
  const organisations = program.command('organisations').description('tenants, none of which sees another');
  addTenants(organisations, 'organisations', terminal, add);
  const secrets = program.command('secrets').description('what is sealed on the disk');
  const rotate = json(secrets.command('rotate').description('another master key for the keys of providers'));
  add(rotate, (client) => rotateSecrets(client, terminal, rotate.opts<JsonFlag>()));
  addLimits(program.command('limits').description('what several keys may use within a minute'), terminal, add);
}

function addUsers(users: Command, terminal: Terminal, add: AddRun): void {
  const list = json(users.command('list', { isDefault: true }).description('all of them, oldest first'));
  add(list, (client) => listUsers(client, terminal, list.opts<JsonFlag>()));
  const show = json(users.command('show').description('one of them').argument('<user>', 'name or id'));
  add(show, (client) => showUser(client, terminal, String(show.args[0]), show.opts<JsonFlag>()));
  const create = json(
    users
      .command('create')
      .description('let somebody log in; the password is asked for, or read from standard input')
      .requiredOption('--name <name>', 'what they log in with')
      .requiredOption('--role <role>', ROLE, each),
  );
  add(create, (client) => createUser(client, terminal, create.opts<NewUserFlags>()));
  const update = json(
    users
      .command('update')
      .description('change roles or password, or shut somebody out; their sessions end')
      .argument('<user>', 'name or id')
      .option('--role <role>', `in place of all roles: ${ROLE}`, each)
      .option('--password', 'a new one, asked for or read from standard input')
      .option('--disable', 'they cannot log in any more')
      .option('--enable', 'they can again'),
  );
  add(update, (client) => updateUser(client, terminal, String(update.args[0]), update.opts<ChangeUserFlags>()));
}

function addTokens(tokens: Command, terminal: Terminal, add: AddRun): void {
  const list = json(tokens.command('list', { isDefault: true }).description('all of them, oldest first'));
  add(list, (client) => listTokens(client, terminal, list.opts<JsonFlag>()));
  const show = json(
    tokens.command('show').description('one of them, but for its text').argument('<token>', 'name or id'),
  );
  add(show, (client) => showToken(client, terminal, String(show.args[0]), show.opts<JsonFlag>()));
  const create = json(
    tokens
      .command('create')
      .description('make one; its text is shown once')
      .requiredOption('--name <name>', 'for people')
      .requiredOption('--role <role>', ROLE, each)
      .option('--expires <when>', `${EXPIRY_ALLOWED} (default: never)`),
  );
  add(create, (client) => createToken(client, terminal, create.opts<NewTokenFlags>()));
  const revoke = json(
    tokens.command('revoke').description('end one, at once and for good').argument('<token>', 'name or id'),
  );
  add(revoke, (client) => revokeToken(client, terminal, String(revoke.args[0]), revoke.opts<JsonFlag>()));
}

function addTenants(tenants: Command, kind: TenantKind, terminal: Terminal, add: AddRun): void {
  const list = json(tenants.command('list', { isDefault: true }).description('those that you may see'));
  add(list, (client) => listTenants(client, terminal, kind, list.opts<JsonFlag>()));
  const create = json(
    tenants
      .command('create')
      .description('make one')
      .argument('<id>', 'a-z, 0-9, ".", "_" and "-"; cannot be changed')
      .option('--name <name>', 'for people (default: the id)'),
  );
  add(create, (client) =>
    createTenant(client, terminal, kind, {
      ...create.opts<JsonFlag & { name?: string }>(),
      id: String(create.args[0]),
    }),
  );
  const rename = json(
    tenants
      .command('rename')
      .description('call it otherwise')
      .argument('<id>', 'as "list" shows it')
      .requiredOption('--name <name>', 'for people'),
  );
  add(rename, (client) =>
    renameTenant(client, terminal, kind, String(rename.args[0]), rename.opts<JsonFlag & { name: string }>()),
  );
}

function addLimits(limits: Command, terminal: Terminal, add: AddRun): void {
  const place = (command: Command): Command =>
    json(
      command
        .option('--organisation', 'of all keys together')
        .option('--project <id>', 'of the keys of this project')
        .option('--model <name>', 'of all calls of this model'),
    );
  const list = json(
    limits.command('list', { isDefault: true }).description('all of them; those of keys are with the keys'),
  );
  add(list, (client) => listLimits(client, terminal, list.opts<JsonFlag>()));
  const set = place(limits.command('set').description('in force for the next request'))
    .option('--rpm <number>', 'requests in any 60 seconds; none: no limit')
    .option('--tpm <number>', 'tokens in any 60 seconds, prompts and answers; none: no limit')
    .option('--concurrent <number>', 'requests at once; none: no limit');
  add(set, (client) => setLimit(client, terminal, set.opts<LimitFlags>()));
  const remove = place(limits.command('remove').description('no limit any more'));
  add(remove, (client) => removeLimit(client, terminal, remove.opts<LimitFlags>()));
}
