import { type AdminClient, type AdminReply, fieldOf } from './admin-client.ts';
import { dateAndTime, listOf, show } from './cells.ts';
import { EXIT_WRONG_USE } from './exit-codes.ts';
import { expiryOf } from './key-flags.ts';
import { allOf } from './pages.ts';
import { expiryLines, fail, headed, type JsonFlag, print } from './reply-text.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

export interface NewUserFlags extends JsonFlag {
  readonly name: string;
  readonly role: readonly string[];
}
export interface ChangeUserFlags extends JsonFlag {
  readonly role?: readonly string[];
  readonly password?: boolean;
  readonly disable?: boolean;
  readonly enable?: boolean;
}
export interface NewTokenFlags extends NewUserFlags {
  readonly expires?: string;
}
/** Who you are to the gateway, and what you may do. */
export async function whoami(client: AdminClient, terminal: Terminal, flags: JsonFlag): Promise<number> {
  return print(await client.request('GET', '/admin/session'), terminal, flags, (body) =>
    [
      `${show(fieldOf(body, 'name'))} (${show(fieldOf(body, 'kind'))}) in the organisation ${show(fieldOf(body, 'organisation'))}`,
      `Roles: ${rolesText(body)}`,
      `May: ${listOf(fieldOf(body, 'permissions')).map(show).join(', ')}`,
    ].join('\n'),
  );
}

export async function listUsers(client: AdminClient, terminal: Terminal, flags: JsonFlag): Promise<number> {
  return print(await allOf(client, '/admin/users', 'users'), terminal, flags, (body) => {
    const users = listOf(fieldOf(body, 'users'));
    if (users.length === 0)
      return 'Nobody logs in here yet. Add somebody: swarmrouter users create --name alice --role admin';
    const rows = users.map((user) => [
      ...[show(fieldOf(user, 'name')), rolesText(user), userState(user), loginText(user)],
      ...[dateAndTime(fieldOf(user, 'created_at')), show(fieldOf(user, 'id'))],
    ]);
    return headed(['NAME', 'ROLES', 'STATE', 'LOGS IN WITH', 'MADE', 'ID'], rows, terminal);
  });
}

export async function showUser(client: AdminClient, terminal: Terminal, who: string, flags: JsonFlag): Promise<number> {
  return print(await named(client, '/admin/users', 'users', who), terminal, flags, (user) =>
    table([
      ...['id', 'name', 'organisation'].map((name) => [name, show(fieldOf(user, name))]),
      ['roles', rolesText(user)],
      ['state', userState(user)],
      ['logs in with', loginText(user)],
      ...ofIdentity(user),
      ['made', dateAndTime(fieldOf(user, 'created_at'))],
    ]),
  );
}

export async function createUser(client: AdminClient, terminal: Terminal, flags: NewUserFlags): Promise<number> {
  const password = await passwordFrom(terminal);
  if (password === null) return EXIT_WRONG_USE;
  const body = { name: flags.name, password, grants: flags.role.map(grantOf) };
  return print(
    await client.request('POST', '/admin/users', body),
    terminal,
    flags,
    (made) =>
      `${show(fieldOf(made, 'name'))} may log in (/login in a browser, or POST /admin/login). Roles: ${rolesText(made)}.`,
  );
}

export async function updateUser(client: AdminClient, terminal: Terminal, who: string, flags: ChangeUserFlags) {
  const { role, password: changes = false, disable = false, enable = false } = flags;
  if ((disable && enable) || (role === undefined && !changes && !disable && !enable)) {
    terminal.error('swarmrouter: Give --role, --password, or one of --disable and --enable.');
    return EXIT_WRONG_USE;
  }
  const user = await named(client, '/admin/users', 'users', who);
  if (!user.ok) return fail(terminal, user);
  const path = pathOf('/admin/users', user.body);
  const password = changes ? await passwordFrom(terminal) : undefined;
  if (password === null) return EXIT_WRONG_USE;
  const body = {
    ...(role !== undefined && { grants: role.map(grantOf) }),
    ...(password !== undefined && { password }),
    ...((disable || enable) && { disabled: disable }),
  };
  const reply = await client.request('PATCH', path, body);
  return print(reply, terminal, flags, (changed) => {
    const state = fieldOf(changed, 'disabled') === true ? 'is shut out' : 'may log in';
    return `${show(fieldOf(changed, 'name'))} ${state}. Roles: ${rolesText(changed)}. Sessions that were open have ended.`;
  });
}

export async function listTokens(client: AdminClient, terminal: Terminal, flags: JsonFlag): Promise<number> {
  return print(await allOf(client, '/admin/tokens', 'tokens'), terminal, flags, (body) => {
    const tokens = listOf(fieldOf(body, 'tokens'));
    if (tokens.length === 0)
      return 'There is no service token. Make one: swarmrouter tokens create --name ci --role operator';
    const rows = tokens.map((token) => [
      ...[
        show(fieldOf(token, 'name')),
        rolesText(token),
        show(fieldOf(token, 'state')),
        show(fieldOf(token, 'prefix')),
      ],
      ...[dateAndTime(fieldOf(token, 'expires_at')), show(fieldOf(token, 'id'))],
    ]);
    return headed(['NAME', 'ROLES', 'STATE', 'TOKEN', 'EXPIRES', 'ID'], rows, terminal);
  });
}

export async function showToken(client: AdminClient, terminal: Terminal, which: string, flags: JsonFlag) {
  return print(await named(client, '/admin/tokens', 'tokens', which), terminal, flags, (token) =>
    table([
      ...['id', 'name', 'organisation'].map((name) => [name, show(fieldOf(token, name))]),
      ['roles', rolesText(token)],
      ['state', show(fieldOf(token, 'state'))],
      ['token', show(fieldOf(token, 'prefix'))],
      ['made', dateAndTime(fieldOf(token, 'created_at'))],
      ['expires', dateAndTime(fieldOf(token, 'expires_at'))],
    ]),
  );
}

export async function createToken(client: AdminClient, terminal: Terminal, flags: NewTokenFlags): Promise<number> {
  const problems: string[] = [];
  const expiry = flags.expires === undefined ? {} : { expires_at: expiryOf(flags.expires, Date.now(), problems) };
  if (problems.length > 0) {
    terminal.error(`swarmrouter: ${problems.join(' ')}`);
    return EXIT_WRONG_USE;
  }
  const body = { name: flags.name, grants: flags.role.map(grantOf), ...expiry };
  return print(await client.request('POST', '/admin/tokens', body), terminal, flags, (made) =>
    [
      `The token of "${show(fieldOf(made, 'name'))}" is shown now and never again:`,
      `  ${show(fieldOf(made, 'token'))}`,
      'Use it as the admin key: SWARMROUTER_ADMIN_KEY, or "Authorization: Bearer <token>".',
      ...expiryLines(made),
    ].join('\n'),
  );
}

export async function revokeToken(client: AdminClient, terminal: Terminal, which: string, flags: JsonFlag) {
  const token = await named(client, '/admin/tokens', 'tokens', which);
  if (!token.ok) return fail(terminal, token);
  const reply = await client.request('DELETE', pathOf('/admin/tokens', token.body));
  return print(reply, terminal, flags, (body) => `The token "${show(fieldOf(body, 'name'))}" opens nothing any more.`);
}

/** `member:web` → the role member in the project web. What is no role the gateway names. */
function grantOf(text: string): { readonly role: string; readonly project: string | null } {
  const colon = text.indexOf(':');
  return colon < 0 ? { role: text, project: null } : { role: text.slice(0, colon), project: text.slice(colon + 1) };
}

function rolesText(body: unknown): string {
  const roles = listOf(fieldOf(body, 'grants')).map((grant) => {
    const project = fieldOf(grant, 'project');
    return typeof project === 'string'
      ? `${show(fieldOf(grant, 'role'))}:${show(project)}`
      : show(fieldOf(grant, 'role'));
  });
  return roles.length === 0 ? 'none' : roles.join(', ');
}

/** Never from the command line, which other users of the machine can see. Null: none was given; it was said. */
async function passwordFrom(terminal: Terminal): Promise<string | null> {
  const password = await terminal.readSecret('Password: ');
  if (password !== null && password !== '') return password;
  terminal.error('swarmrouter: A password is needed: type it, or send it on standard input.');
  return null;
}

const userState = (user: unknown): string => (fieldOf(user, 'disabled') === true ? 'disabled' : 'active');

const loginText = (user: unknown): string =>
  fieldOf(user, 'oidc') === null ? 'password' : show(fieldOf(fieldOf(user, 'oidc'), 'issuer'));

/** Of somebody whom an identity provider knows. */
function ofIdentity(user: unknown): string[][] {
  const subject = fieldOf(fieldOf(user, 'oidc'), 'subject');
  return subject === undefined ? [] : [['known there as', show(subject)]];
}

const pathOf = (path: string, one: unknown): string => `${path}/${encodeURIComponent(show(fieldOf(one, 'id')))}`;

/** By id or by name; of several of one name the one that is not ended. */
async function named(client: AdminClient, path: string, list: string, text: string): Promise<AdminReply> {
  const reply = await allOf(client, path, list);
  if (!reply.ok) return reply;
  const all = listOf(fieldOf(reply.body, list));
  const fitting = all.filter((one) => fieldOf(one, 'id') === text || fieldOf(one, 'name') === text);
  const live = fitting.length === 1 ? fitting : fitting.filter((one) => fieldOf(one, 'state') !== 'revoked');
  if (live.length === 1) return { ok: true, body: live[0] };
  const message =
    live.length > 1
      ? `There are ${live.length} of the name "${text}": give the id (swarmrouter ${list} list).`
      : `There is none of the name or id "${text}" (swarmrouter ${list} list).`;
  return { ok: false, message };
}
