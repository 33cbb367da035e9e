import { type AdminClient, fieldOf } from './admin-client.ts';
import { dateAndTime, listOf, milliseconds, show } from './cells.ts';
import { allOf } from './pages.ts';
import { numberOf } from './provider-flags.ts';
import { headed, type JsonFlag, noteLines, print, sourceText } from './reply-text.ts';
import type { Terminal } from './terminal.ts';

const ALIASES = '/admin/aliases';
const ROUTES = '/admin/routes';

/** The flags of `routes set`, as they were typed. The gateway judges them, and says what is wrong. */
export interface RouteFlags extends JsonFlag {
  readonly strategy?: string;
  readonly streamRecovery?: string;
  readonly maxFirstTokenMs?: string;
}

export async function listAliases(client: AdminClient, terminal: Terminal, flags: JsonFlag): Promise<number> {
  return print(await allOf(client, ALIASES, 'aliases'), terminal, flags, (body) => {
    const aliases = listOf(fieldOf(body, 'aliases'));
    if (aliases.length === 0) return 'There is no alias. Set one: swarmrouter aliases set gpt-4o qwen2.5-32b-instruct';
    const rows = aliases.map((alias) => [
      ...[show(fieldOf(alias, 'name')), show(fieldOf(alias, 'target'))],
      ...[sourceText(alias), dateAndTime(fieldOf(alias, 'updated_at'))],
    ]);
    return headed(['NAME', 'STANDS FOR', 'FROM', 'SINCE'], rows, terminal);
  });
}

export async function setAlias(
  client: AdminClient,
  terminal: Terminal,
  name: string,
  target: string,
  flags: JsonFlag,
): Promise<number> {
  return print(await client.request('PUT', pathOf(ALIASES, name), { target }), terminal, flags, (body) => {
    const alias = fieldOf(body, 'alias');
    return [
      `"${show(fieldOf(alias, 'name'))}" stands for "${show(fieldOf(alias, 'target'))}" from the next request on.`,
      ...noteLines(body),
    ].join('\n');
  });
}

export async function removeAlias(client: AdminClient, terminal: Terminal, name: string, flags: JsonFlag) {
  const reply = await client.request('DELETE', pathOf(ALIASES, name));
  return print(reply, terminal, flags, (body) => show(fieldOf(body, 'message')));
}

export async function listRoutes(client: AdminClient, terminal: Terminal, flags: JsonFlag): Promise<number> {
  return print(await allOf(client, ROUTES, 'routes'), terminal, flags, (body) => {
    const rows = listOf(fieldOf(body, 'routes')).map((route) => [
      ...['name', 'strategy', 'stream_recovery'].map((field) => show(fieldOf(route, field))),
      ...[
        milliseconds(fieldOf(route, 'max_first_token_ms')),
        sourceText(route),
        dateAndTime(fieldOf(route, 'updated_at')),
      ],
    ]);
    return headed(['NAME', 'STRATEGY', 'RECOVERY', 'FIRST TOKEN', 'FROM', 'SINCE'], rows, terminal);
  });
}

export async function setRoute(client: AdminClient, terminal: Terminal, name: string, flags: RouteFlags) {
  const given = {
    strategy: flags.strategy,
    stream_recovery: flags.streamRecovery,
    max_first_token_ms: numberOf(flags.maxFirstTokenMs),
  };
  const body = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return print(await client.request('PUT', pathOf(ROUTES, name), body), terminal, flags, (route) => {
    const set = show(fieldOf(route, 'name'));
    return `The route "${set}" counts from the next request on: x-swarmrouter-route: ${set}`;
  });
}

export async function removeRoute(client: AdminClient, terminal: Terminal, name: string, flags: JsonFlag) {
  const reply = await client.request('DELETE', pathOf(ROUTES, name));
  return print(reply, terminal, flags, (body) => show(fieldOf(body, 'message')));
}

const pathOf = (path: string, name: string): string => `${path}/${encodeURIComponent(name)}`;
