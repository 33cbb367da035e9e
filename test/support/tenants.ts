import { adminCall, bearer } from './admin-client.ts';
import type { TestGateway } from './gateway.ts';

/** A part of the gateway's people and things that others must not reach: a project of an organisation. */
export interface Tenant {
  readonly organisation: string;
  readonly project: string;
  /** In every name and text of it, and nowhere else. */
  readonly canary: string;
  readonly key: { readonly id: string; readonly text: string };
  readonly budgetId: string;
  readonly userId: string;
  readonly tokenId: string;
}

export const PASSWORD = 'correct horse battery';

/** A project with a key, a budget, a limit, a user, a token and one call on record. */
export async function madeTenant(on: TestGateway, organisation: string, project: string): Promise<Tenant> {
  const canary = `${organisation}-${project}-canary`;
  const make = async (path: string, body: object) => {
    const headers = { 'x-swarmrouter-organisation': organisation };
    const reply = await adminCall(on.url, 'POST', path, { as: bearer(on.adminKey), body, headers });
    if (reply.status >= 300 && reply.status !== 409) throw new Error(`POST ${path}: ${reply.status} ${reply.text}`);
    return reply.body;
  };
  if (organisation !== 'default') {
    const body = { id: organisation, name: `${organisation}-canary` };
    await adminCall(on.url, 'POST', '/admin/organisations', { as: bearer(on.adminKey), body });
  }
  await make('/admin/projects', { id: project, name: canary });
  const key = await make('/admin/keys', {
    ...{ name: canary, project, owner: canary, metadata: { note: canary } },
    budget: { limit_usd: 5, window: 'day' },
  });
  const budget = await make('/admin/budgets', { scope: 'project', name: project, limit_usd: 7, window: 'month' });
  await make('/admin/limits', { scope: 'project', name: project, rpm: 10_000 });
  const grants = [{ role: 'member', project }];
  const user = await make('/admin/users', { name: canary, password: PASSWORD, grants });
  const token = await make('/admin/tokens', { name: canary, grants });
  const answer = await on.chat(
    { model: 'qwen', messages: [{ role: 'user', content: 'hi' }] },
    { headers: bearer(key.key) },
  );
  await answer.text();
  const ids = { budgetId: budget.id, userId: user.id, tokenId: token.id };
  return { organisation, project, canary, key: { id: key.id, text: key.key }, ...ids };
}

/** A service token with one role. */
export async function tokenWith(
  on: TestGateway,
  role: string,
  { organisation = 'default', project = null }: { organisation?: string; project?: string | null } = {},
): Promise<{ readonly id: string; readonly as: Record<string, string> }> {
  const reply = await adminCall(on.url, 'POST', '/admin/tokens', {
    as: bearer(on.adminKey),
    body: { name: `${role} bot`, grants: [{ role, project }] },
    headers: { 'x-swarmrouter-organisation': organisation },
  });
  if (reply.status !== 201) throw new Error(`no token for ${role}: ${reply.text}`);
  return { id: reply.body.id, as: bearer(reply.body.token) };
}

/** A person with one role, logged in. */
export async function personWith(
  on: TestGateway,
  name: string,
  role: string,
): Promise<{ readonly id: string; readonly as: Record<string, string> }> {
  const as = bearer(on.adminKey);
  const body = { name, password: PASSWORD, grants: [{ role }] };
  const made = await adminCall(on.url, 'POST', '/admin/users', { as, body });
  const login = await adminCall(on.url, 'POST', '/admin/login', { as: {}, body: { name, password: PASSWORD } });
  if (login.status !== 200) throw new Error(`${name} could not log in: ${login.text}`);
  return { id: made.body.id, as: { cookie: login.headers.get('set-cookie')?.split(';')[0] ?? '' } };
}
