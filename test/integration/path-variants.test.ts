import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Simulator, startSimulator } from '../../simulators/index.ts';
import { adminPorts } from '../../src/http/admin/admin-fixture.ts';
import { buildAdminApp } from '../../src/http/admin/app.ts';
import { permissionsOf } from '../../src/http/admin/permission.ts';
import { adminCall, bearer } from '../support/admin-client.ts';
import { startTestGateway, type TestGateway, targetFor } from '../support/gateway.ts';
import { variantsOf } from '../support/path-variants.ts';
import { talk } from '../support/raw-client.ts';
import { inference } from '../support/running.ts';
import { madeTenant, type Tenant } from '../support/tenants.ts';

let simulator: Simulator;
let on: TestGateway;
let dataDir: string;
let tenant: Tenant;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-paths-'));
  simulator = await startSimulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 5 });
  on = await startTestGateway([targetFor(simulator)], { dataDir, usage: true });
  tenant = await madeTenant(on, 'default', 'web');
});
afterAll(async () => {
  await on.stop();
  await simulator.stop();
  await rm(dataDir, { recursive: true, force: true });
});

const OVERRIDES = [
  '',
  'x-http-method-override: GET\r\n',
  'x-http-method: GET\r\nx-method-override: GET\r\n',
  'x-original-url: /health\r\nx-rewrite-url: /health\r\n',
  'x-forwarded-prefix: /docs\r\nx-forwarded-for: 127.0.0.1\r\n',
];
const DEAD = ['', 'authorization: Bearer nothing\r\n', 'cookie: swarmrouter-session=nothing\r\n'];

async function ask(method: string, target: string, headers: string): Promise<{ status: number; body: string }> {
  const text = method === 'GET' ? '' : '{"model":"qwen","messages":[{"role":"user","content":"hi"}]}';
  const length = text === '' ? '' : `content-type: application/json\r\ncontent-length: ${text.length}\r\n`;
  const conversation = talk(
    on.gateway.port,
    `${method} ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${headers}${length}\r\n${text}`,
  );
  await conversation.closed;
  const received = conversation.received();
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(received)?.[1] ?? 0), body: received.split('\r\n\r\n')[1] ?? '' };
}

describe('L-15 a path that is written differently', () => {
  const admin = [...permissionsOf(buildAdminApp(adminPorts())).keys()].map(
    (route) => route.split(' ') as [string, string],
  );

  test('opens nothing of the control plane to whoever has no credential', async () => {
    const open: string[] = [];
    // One path of each kind is enough for all variants; every route is asked in every method by the matrix.
    const paths = [...new Set(admin.map(([, path]) => path.replace(/:\w+/, tenant.key.id)))];
    for (const path of paths) {
      const answers = await Promise.all(
        variantsOf(path).map(async (target) => ({ target, ...(await ask('GET', target, '')) })),
      );
      for (const { target, status, body } of answers) {
        // A server may refuse the line itself with 400 before anybody looks at it.
        if (![400, 401, 404].includes(status) || body.includes(tenant.canary)) open.push(`GET ${target} ${status}`);
      }
    }
    expect(open).toEqual([]);
  }, 30_000);

  test('opens nothing of it with a method or an address in a header of its own either', async () => {
    const open: string[] = [];
    for (const [method, path] of admin) {
      for (const headers of OVERRIDES) {
        for (const sent of ['POST', method]) {
          const { status } = await ask(sent, path.replace(/:\w+/, tenant.key.id), headers);
          if (status !== 401) open.push(`${sent} ${path} ${headers.trim()} ${status}`);
        }
      }
    }
    expect(open).toEqual([]);
    const kept = await adminCall(on.url, 'GET', `/admin/keys/${tenant.key.id}`, { as: bearer(on.adminKey) });
    expect(kept.body.state).toBe('live');
  }, 30_000);

  test('opens nothing of the data plane, and no server is asked', async () => {
    const before = inference(simulator).length;
    const open: string[] = [];
    for (const path of ['/v1/chat/completions', '/v1/models', '/v1/models/qwen', '/metrics']) {
      for (const target of variantsOf(path)) {
        for (const method of ['GET', 'POST']) {
          for (const credential of DEAD) {
            for (const override of OVERRIDES.slice(0, 2)) {
              const { status, body } = await ask(method, target, credential + override);
              const isOpen = status < 400 || body.includes('"object"') || body.includes('swarmrouter_');
              if (isOpen && !isOwnDoor(target)) open.push(`${method} ${target} ${credential.trim()} ${status}`);
            }
          }
        }
      }
    }
    expect(open).toEqual([]);
    expect(inference(simulator)).toHaveLength(before);
  }, 60_000);

  test('while the path as it is opens with what it needs, also as an absolute address', async () => {
    const authorization = `authorization: Bearer ${tenant.key.text}\r\n`;
    expect((await ask('GET', '/v1/models', authorization)).status).toBe(200);
    expect((await ask('GET', 'http://localhost/v1/models', authorization)).status).toBe(200);
    expect((await ask('GET', '/admin/keys', `authorization: Bearer ${on.adminKey}\r\n`)).status).toBe(200);
  });
});

/** Names one of the doors that are open to everybody, and so shows nothing else. */
function isOwnDoor(target: string): boolean {
  return /^\/docs\/(?!\.|%2e)/i.test(target) && !target.includes('..');
}

describe('L-30 S-13 a stranger’s body', () => {
  test('is not read: the refusal is there before a byte of it was sent', async () => {
    for (const target of ['/v1/chat/completions', '/admin/keys', '/admin/reload', '/admin/overflow_provider']) {
      const conversation = talk(
        on.gateway.port,
        `POST ${target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 10485760\r\n\r\n`,
      );
      const deadlineMs = performance.now() + 5_000;
      while (!conversation.received().includes('\r\n\r\n') && performance.now() < deadlineMs) await Bun.sleep(2);
      expect(`${target} ${conversation.received().slice(0, 12)}`).toBe(`${target} HTTP/1.1 401`);
      conversation.destroy();
    }
  });
});

describe('L-07 a key that may use no model', () => {
  test('gets none on any path of the data plane, whole or streamed, whatever it asks for', async () => {
    const body = { name: 'denied', project: 'web', allowed_models: [] };
    const { key } = (await adminCall(on.url, 'POST', '/admin/keys', { as: bearer(on.adminKey), body })).body;
    const before = inference(simulator).length;
    const messages = [{ role: 'user', content: 'hi' }];
    for (const model of ['qwen', 'auto', undefined, 'QWEN', 'lmstudio/qwen', 'nobody']) {
      for (const stream of [true, false]) {
        for (const path of [
          '/v1/chat/completions',
          '/v1/completions',
          '/v1/responses',
          '/v1/messages',
          '/v1/embeddings',
        ]) {
          const request = { model, messages, prompt: 'hi', input: 'hi', max_tokens: 5, stream };
          const reply = await fetch(`${on.url}${path}`, {
            method: 'POST',
            headers: { ...bearer(key), 'content-type': 'application/json' },
            body: JSON.stringify(request),
          });
          await reply.text();
          expect(`${path} ${model} ${stream} ${reply.status}`).toMatch(/ (403|404)$/);
        }
      }
    }
    expect(inference(simulator)).toHaveLength(before);
    const list = await (await fetch(`${on.url}/v1/models`, { headers: bearer(key) })).json();
    expect(list.data).toEqual([]);
    expect((await fetch(`${on.url}/v1/models/qwen`, { headers: bearer(key) })).status).toBe(404);
  });
});
