import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adminCall, bearer } from '../support/admin-client.ts';
import { type TestGateway, targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';
import { tokenWith } from '../support/tenants.ts';

const { simulator, gateway } = runningParts();
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

const MESSAGES = [{ role: 'user', content: 'how are you?' }];
const KEY = { name: 'app', project: 'web', owner: 'team', limits: { rpm: 40, tpm: 4_000, concurrent: 2 } };
const BUDGET = { limit_usd: 3, window: 'day', hard: true };

async function started() {
  const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-isolation-'));
  folders.push(dataDir);
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 8 });
  return { dataDir, on: await gateway([targetFor(local)], { dataDir, usage: true, logLevel: 'info' }) };
}

/** An organisation with a project, a key, budgets and limits, all called the same in both. */
async function organisation(on: TestGateway, id: string) {
  await adminCall(on.url, 'POST', '/admin/organisations', { as: bearer(on.adminKey), body: { id } });
  const { as } = await tokenWith(on, 'owner', { organisation: id });
  const make = async (path: string, body: object) => (await adminCall(on.url, 'POST', path, { as, body })).body;
  await make('/admin/projects', { id: 'web' });
  const { key, id: keyId } = await make('/admin/keys', { ...KEY, budget: BUDGET });
  const { id: budgetId } = await make('/admin/budgets', {
    scope: 'project',
    name: 'web',
    limit_usd: 9,
    window: 'month',
  });
  await make('/admin/limits', { scope: 'project', name: 'web', rpm: 60 });
  await make('/admin/limits', { scope: 'organisation', rpm: 90 });
  return { id, as, key: key as string, keyId: keyId as string, budgetId: budgetId as string };
}
type Organisation = Awaited<ReturnType<typeof organisation>>;

interface Step {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
}
const CHAT = '/v1/chat/completions';
/** What A does, one after the other. */
const STEPS: readonly Step[] = [
  { method: 'GET', path: '/v1/models' },
  { method: 'POST', path: CHAT, body: { model: 'qwen', messages: MESSAGES } },
  { method: 'POST', path: CHAT, body: { model: 'qwen', messages: MESSAGES, stream: true } },
  { method: 'POST', path: CHAT, body: { model: 'auto', messages: MESSAGES, temperature: 0, seed: 7 } },
  { method: 'POST', path: CHAT, body: { model: 'qwen', messages: MESSAGES, max_tokens: 3 } },
  { method: 'POST', path: CHAT, body: { model: 'qwen', messages: 'wrong' } },
  { method: 'POST', path: CHAT, body: { model: 'qwen', messages: MESSAGES, max_tokens: 3_999_999 } },
  { method: 'GET', path: '/v1/models/qwen' },
  { method: 'GET', path: '/v1/models/nobody' },
  { method: 'POST', path: CHAT, body: { model: 'qwen', messages: MESSAGES } },
];

async function ask(on: TestGateway, key: string, { method, path, body }: Step, id: string): Promise<string> {
  const reply = await fetch(`${on.url}${path}`, {
    method,
    headers: { ...bearer(key), 'content-type': 'application/json', 'x-request-id': id },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  const headers = [...reply.headers].filter(([name]) => name !== 'date').map(([name, value]) => `${name}: ${value}`);
  return [`${method} ${path} ${reply.status}`, ...headers.sort(), text].join('\n');
}

/** What B does around each step of A: the same names and ids, too much of everything, and whatever might get in A's way. */
async function disturb(
  on: TestGateway,
  b: Organisation,
  turn: number,
  ids: { readonly a: Organisation },
): Promise<void> {
  const { as } = b;
  const headers = { ...bearer(b.key), 'content-type': 'application/json' };
  const post = (body: object, more: Record<string, string> = {}) =>
    fetch(`${on.url}${CHAT}`, { method: 'POST', headers: { ...headers, ...more }, body: JSON.stringify(body) });
  const same = { model: 'qwen', messages: MESSAGES };
  const many = await Promise.all([
    post(same, { 'x-request-id': `step-${turn}` }),
    post({ ...same, stream: true }, { 'x-request-id': `step-${turn}` }),
    post({ messages: MESSAGES, model: 'qwen', user: 'A', metadata: { organisation: 'a' } }),
    post({ ...same, messages: [{ role: 'user', content: 'how are you?\u200b' }] }),
    post(same, { 'x-swarmrouter-organisation': 'a', 'x-swarmrouter-no-cache': 'true' }),
    post({ ...same, max_tokens: 3_000_000 }),
    post({ ...same, model: `no-such-${turn}` }),
  ]);
  for (const reply of many) await reply.text();
  const leaving = new AbortController();
  const left = await fetch(`${on.url}${CHAT}`, {
    ...{ method: 'POST', headers, signal: leaving.signal },
    body: JSON.stringify({ ...same, stream: true }),
  });
  leaving.abort();
  await left.text().catch(() => undefined);
  const change = (method: string, path: string, body?: object) => adminCall(on.url, method, path, { as, body });
  await change('POST', '/admin/keys', { ...KEY, name: `more-${turn}` });
  await change('PATCH', `/admin/keys/${b.keyId}`, { limits: { rpm: turn % 2 === 0 ? 0 : 10_000, tpm: null } });
  await change('POST', '/admin/limits', { scope: 'organisation', rpm: turn % 3 === 0 ? 0 : 500 });
  await change('PATCH', `/admin/budgets/${b.budgetId}`, { limit_usd: turn % 2 });
  await change('PATCH', `/admin/keys/${ids.a.keyId}`, { limits: { rpm: 0 } });
  await change('DELETE', `/admin/keys/${ids.a.keyId}`);
  await change('POST', '/admin/users', { name: `person-${turn}`, password: 'x'.repeat(20), grants: [] });
}

/** What differs from one run to the next by itself. */
function settled(text: string): string {
  return (
    text
      .replaceAll(/\b(key|bud|tok|usr|chatcmpl|req|call)[-_][\w-]+/g, '$1_ID')
      .replaceAll(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, 'UUID')
      .replaceAll(/\b[0-9a-f]{64}\b/g, 'HASH')
      .replaceAll(/wgl_\w+(…\w+)?/g, 'KEY')
      .replaceAll(/("last_?four"):"\w{4}"/gi, '$1:"FOUR"')
      .replaceAll(/\b1[78]\d{11}\b/g, 'MILLISECONDS')
      // One more a second after the last entry.
      .replaceAll(/"checkpoints":\d+/g, '"checkpoints":0')
      .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z/g, 'TIME')
      .replaceAll(/("created"|"at_ms"|"time"):\s*\d+/g, '$1:0')
      .replaceAll(/(x-ratelimit-reset-\w+): \S+/g, '$1: SOON')
      .replaceAll(/(retry-after: |again in |resets in |in )\d+(\.\d+)?( ?m?s)?/g, '$1SOON')
  );
}

async function viewOf(on: TestGateway, { as, id }: Organisation): Promise<string[]> {
  const paths = [
    ...['keys', 'budgets', 'limits', 'projects', 'users', 'tokens', 'session', 'audit?limit=1000', 'audit/verify'],
    ...['usage?group_by=key', 'usage?group_by=project,model', 'usage?group_by=target,place', 'usage/export?format=csv'],
  ];
  const shown: string[] = [];
  for (const path of paths) shown.push(`${path}\n${(await adminCall(on.url, 'GET', `/admin/${path}`, { as })).text}`);
  const metrics = await (await fetch(`${on.url}/metrics`, { headers: bearer(on.adminKey) })).text();
  // How much budgets have used is looked at every ten seconds, and so is there or not yet.
  const own = (line: string) => line.startsWith('swarmrouter_tenant_') && line.includes(`organisation="${id}"`);
  return [...shown, ...metrics.split('\n').filter(own)];
}

/** All that A is told, in the order in which it asked, and what it sees of itself in the end. */
async function run(isDisturbed: boolean) {
  const { on, dataDir } = await started();
  const a = await organisation(on, 'a');
  const b = await organisation(on, 'b');
  const told: string[] = [];
  for (const [turn, step] of STEPS.entries()) {
    if (isDisturbed) await disturb(on, b, turn, { a });
    told.push(await ask(on, a.key, step, `step-${turn}`));
  }
  if (isDisturbed) await disturb(on, b, STEPS.length, { a });
  const seen = await viewOf(on, a);
  await on.gateway.stop(1_000);
  return { told, seen, log: await readFile(join(dataDir, 'log.jsonl'), 'utf8'), a, b };
}

describe('S-18 what one organisation does', () => {
  test('changes nothing of what another is told, and nothing of what it sees of itself', async () => {
    const [alone, beside] = [await run(false), await run(true)];
    expect(alone.told.map((text) => text.split('\n')[0])).toEqual(
      [200, 200, 200, 200, 200, 400, 429, 200, 404, 200].map((status, at) => {
        const { method, path } = STEPS[at] as Step;
        return `${method} ${path} ${status}`;
      }),
    );
    expect(beside.told.map(settled)).toEqual(alone.told.map(settled));
    expect(beside.seen.map(settled)).toEqual(alone.seen.map(settled));
    // And A saw nothing of B at all.
    for (const text of [...beside.told, ...beside.seen]) {
      for (const theirs of [beside.b.keyId, beside.b.budgetId, 'more-', 'person-']) expect(text).not.toContain(theirs);
    }
  }, 60_000);

  test('is told the same of what another has and of what there is not, whichever revision it says that it read', async () => {
    const { on } = await started();
    const a = await organisation(on, 'a');
    const b = await organisation(on, 'b');
    const told = async (method: string, path: string, id: string, revision: string, body?: object) => {
      const reply = await adminCall(on.url, method, path.replace('ID', id), {
        ...{ as: b.as, headers: { 'if-match': revision }, body },
      });
      return [reply.status, settled(reply.text).replaceAll(id, 'ID')];
    };
    for (const revision of ['"1"', '"7"']) {
      for (const [method, path, id, none, body] of [
        ['PATCH', '/admin/keys/ID', a.keyId, 'key_none', { owner: 'me' }],
        ['POST', '/admin/keys/ID/rotate', a.keyId, 'key_none', {}],
        ['DELETE', '/admin/keys/ID', a.keyId, 'key_none', undefined],
        ['PATCH', '/admin/budgets/ID', a.budgetId, 'bud_none', { limit_usd: 1 }],
        ['DELETE', '/admin/budgets/ID', a.budgetId, 'bud_none', undefined],
      ] as const) {
        const theirs = await told(method, path, id, revision, body);
        expect(theirs).toEqual(await told(method, path, none, revision, body));
        expect(theirs[0]).toBe(404);
      }
    }
  });

  test('stands in its own metrics and its own lines of the log, and each line of a request says whose it was', async () => {
    const { log, seen, a, b } = await run(true);
    const lines = log
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const requests = lines.filter((line) => line.request_id !== undefined);
    expect(requests.length).toBeGreaterThan(15);
    for (const line of requests) {
      expect(['a', 'b']).toContain(line.organisation);
      expect(line.project).toBe('web');
      if (line.key_id === a.keyId) expect(line.organisation).toBe('a');
      if (line.key_id === b.keyId) expect(line.organisation).toBe('b');
    }
    const ofA = requests.filter(({ organisation }) => organisation === 'a');
    const served = seen.find((line) => line.includes('tenant_requests_total') && line.includes('served'));
    expect(served).toBe(
      `swarmrouter_tenant_requests_total{organisation="a",project="web",outcome="served"} ${ofA.length}`,
    );
  }, 60_000);
});
