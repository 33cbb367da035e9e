import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adminPorts } from '../../src/http/admin/admin-fixture.ts';
import { buildAdminApp } from '../../src/http/admin/app.ts';
import { permissionsOf } from '../../src/http/admin/permission.ts';
import { adminCall, bearer } from '../support/admin-client.ts';
import { targetFor } from '../support/gateway.ts';
import { POISON, POISON_NAMES, prototypeShape } from '../support/poison.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

async function started() {
  const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-prototype-'));
  folders.push(dataDir);
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 5 });
  return gateway([targetFor(local)], { dataDir, usage: true });
}

const BODIES = [
  `{${POISON}}`,
  `{"name":"x","grants":[{"role":"member",${POISON}}],"password":"correct horse battery",${POISON}}`,
  `{"name":"x","limits":{"rpm":1,${POISON}},"budget":{"limit_usd":1,"window":"day",${POISON}},"metadata":{${POISON}}}`,
  `{"scope":"model","name":"__proto__","rpm":5}`,
  `{"scope":"model","name":"constructor","limit_usd":1,"window":"day"}`,
  `{"model":"__proto__","provider":"constructor","input_usd_per_mtok":1,"output_usd_per_mtok":1}`,
  `{"model":"__proto__","messages":[{"role":"user","content":"hi",${POISON}}],${POISON}}`,
  `{"id":"constructor","name":"__proto__"}`,
  `[{${POISON}}]`,
];

describe('S-12 names that every object has', () => {
  test('in bodies, paths, queries and headers of the admin API change no prototype and break nothing', async () => {
    const on = await started();
    const before = prototypeShape();
    const as = { ...bearer(on.adminKey), 'content-type': 'application/json', constructor: 'x', prototype: 'x' };
    for (const route of permissionsOf(buildAdminApp(adminPorts())).keys()) {
      const [method = '', path = ''] = route.split(' ');
      // It would end what the other requests are made with.
      if (path === '/admin/secrets/rotate') continue;
      for (const name of POISON_NAMES) {
        const query = `__proto__[polluted]=yes&constructor.prototype.polluted=yes&${name}=yes&name=${name}&scope=model`;
        for (const url of [path.replace(/:\w+/, name), `${path.replace(/:\w+/, name)}?${query}`]) {
          for (const body of method === 'POST' || method === 'PATCH' ? BODIES : [undefined]) {
            const reply = await fetch(`${on.url}${url}`, {
              method,
              headers: as,
              ...(body === undefined ? {} : { body }),
            });
            const text = await reply.text();
            if (reply.status >= 500) throw new Error(`${method} ${url} ${body}: ${reply.status} ${text}`);
          }
        }
      }
    }
    expect(prototypeShape()).toBe(before);
    expect((await adminCall(on.url, 'GET', '/admin/status', { as })).status).toBe(200);
  }, 60_000);

  test('mean nothing more than others as names of models, projects, keys and what is noted of them', async () => {
    const on = await started();
    const as = bearer(on.adminKey);
    const call = (method: string, path: string, body?: unknown) => adminCall(on.url, method, path, { as, body });
    const metadata = JSON.parse('{"__proto__":"a","constructor":"b"}');
    const made = await call('POST', '/admin/keys', { name: '__proto__', project: 'constructor', metadata });
    expect([made.status, made.body.name, made.body.project]).toEqual([201, '__proto__', 'constructor']);
    expect(Object.entries((await call('GET', `/admin/keys/${made.body.id}`)).body.metadata).sort()).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
    expect((await call('POST', '/admin/limits', { scope: 'model', name: '__proto__', rpm: 0 })).status).toBe(200);
    const headers = bearer(made.body.key);
    const chat = async (model: string, more = {}) => {
      const reply = await on.chat(
        { model, messages: [{ role: 'user', content: 'hi' }] },
        { headers: { ...headers, ...more } },
      );
      await reply.text();
      return reply.status;
    };
    expect(await chat('qwen')).toBe(200);
    // No stand-in is asked for under a limit of 0; a name that nobody has is no door to anything else.
    for (const model of ['constructor', 'toString', 'hasOwnProperty', '__proto__'])
      expect([200, 404, 429]).toContain(await chat(model));
    for (const route of ['__proto__', 'constructor', 'toString']) {
      expect(await chat('qwen', { 'x-swarmrouter-route': route })).toBe(400);
    }
    for (const id of ['__proto__', 'constructor']) expect((await call('GET', `/admin/keys/${id}`)).status).toBe(404);
    expect((await call('GET', '/admin/usage?group_by=constructor')).status).toBe(400);
  }, 30_000);
});
