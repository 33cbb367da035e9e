import { type AdminClient, fieldOf } from './admin-client.ts';
import { dateAndTime, listOf, show } from './cells.ts';
import { allOf } from './pages.ts';
import { headed, type JsonFlag, print } from './reply-text.ts';
import type { Terminal } from './terminal.ts';

export type TenantKind = 'projects' | 'organisations';

export async function listTenants(client: AdminClient, terminal: Terminal, kind: TenantKind, flags: JsonFlag) {
  return print(await allOf(client, `/admin/${kind}`, kind), terminal, flags, (body) => {
    const rows = listOf(fieldOf(body, kind)).map((tenant) => [
      ...[show(fieldOf(tenant, 'id')), show(fieldOf(tenant, 'name')), dateAndTime(fieldOf(tenant, 'created_at'))],
    ]);
    return headed(['ID', 'NAME', 'MADE'], rows, terminal);
  });
}

export async function createTenant(
  client: AdminClient,
  terminal: Terminal,
  kind: TenantKind,
  flags: JsonFlag & { readonly id: string; readonly name?: string },
) {
  const { id, name } = flags;
  const reply = await client.request('POST', `/admin/${kind}`, { id, ...(name !== undefined && { name }) });
  const next =
    kind === 'organisations'
      ? `\nAct in it: swarmrouter tokens create --in ${id} --name owner --role owner`
      : `\nMake a key of it: swarmrouter keys create --project ${id} --name alice`;
  return print(reply, terminal, flags, (made) => `"${show(fieldOf(made, 'id'))}" is made.${next}`);
}

export async function renameTenant(
  client: AdminClient,
  terminal: Terminal,
  kind: TenantKind,
  id: string,
  flags: JsonFlag & { readonly name: string },
) {
  const reply = await client.request('PATCH', `/admin/${kind}/${encodeURIComponent(id)}`, { name: flags.name });
  return print(
    reply,
    terminal,
    flags,
    (body) => `"${show(fieldOf(body, 'id'))}" is called ${show(fieldOf(body, 'name'))}.`,
  );
}
