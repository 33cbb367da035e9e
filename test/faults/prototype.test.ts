import { afterEach, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { loadConfig } from '../../src/config/load.ts';
import { faultParts, targetFor, targetOfRaw } from '../support/fault-parts.ts';
import { type TestGateway, until } from '../support/gateway.ts';
import { POISON_NAMES, prototypeShape } from '../support/poison.ts';
import { chatRequest, talk } from '../support/raw-client.ts';
import { completion, framed, httpReply, LAST_CHUNK, STREAM_HEAD } from '../support/raw-server.ts';

const parts = faultParts();

const CLEAN = prototypeShape();

/** Nothing of what anybody sent became a property of all objects. */
function expectClean(): void {
  expect(prototypeShape()).toBe(CLEAN);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
}
afterEach(expectClean);

/** JSON text, since an object literal cannot say `__proto__`: poison under each other, at any depth. */
const poison = fc.letrec<{ value: string; object: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'medium' },
    fc.constantFrom('1', '"polluted"', 'true', 'null', '{"polluted":true}', '{"stream":true,"model":"polluted"}'),
    tie('object'),
    fc.array(tie('value'), { maxLength: 2 }).map((items) => `[${items.join()}]`),
  ),
  object: fc
    .uniqueArray(fc.tuple(fc.constantFrom(...POISON_NAMES, 'polluted', 'a'), tie('value')), {
      minLength: 1,
      maxLength: 3,
      selector: ([key]) => key,
    })
    .map((members) => `{${members.map(([key, value]) => `"${key}":${value}`).join()}}`),
})).object;

const JSON_HEADERS = { 'content-type': 'application/json' };

async function admin(on: TestGateway, method: string, path: string, body?: string) {
  const response = await fetch(`${on.url}${path}`, {
    method,
    headers: { ...JSON_HEADERS, authorization: `Bearer ${on.adminKey}` },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, text: await response.text() };
}

describe('S-12 the prototype of all objects stays clean', () => {
  test('whatever a chat request holds, at every depth; and the server gets all of it unharmed', async () => {
    const raw = await parts.rawServer({ chat: ({ socket }) => void socket.write(httpReply(completion('fine'))) });
    const { url } = await parts.gateway([targetOfRaw(raw)], { maxLoopLagMs: 60_000 });
    await fc.assert(
      fc.asyncProperty(poison, poison, poison, async (inBody, inMessage, inOptions) => {
        const members = [
          `"messages":[{"role":"user","content":"hi","x":${inMessage},${inMessage.slice(1)}]`,
          `"unknown":${inBody}`,
          `"stream_options":${inOptions}`,
          inBody.slice(1, -1),
        ];
        const before = raw.chats.length;
        const sent = `{${members.join()}}`;
        const response = await fetch(`${url}/v1/chat/completions`, {
          method: 'POST',
          headers: JSON_HEADERS,
          body: sent,
        });
        const answer = await response.text();
        expect([response.status, answer.includes('"fine"')]).toEqual([200, true]);
        const received = raw.chats[before]?.request.rawBody ?? '';
        for (const member of members) if (!member.startsWith('"stream_options"')) expect(received).toContain(member);
        // What an inherited field says is nothing that was asked for.
        expect(JSON.parse(received).model).toBe('sim-model');
        expectClean();
      }),
      { numRuns: 100 },
    );
  }, 60_000);

  test('whatever the control plane is sent', async () => {
    const server = await parts.simulator({ kind: 'vllm' });
    const on = await parts.gateway([targetFor(server)]);
    const document = JSON.parse((await admin(on, 'GET', '/openapi.json')).text);
    const writes = Object.entries<Record<string, { requestBody?: unknown }>>(document.paths).flatMap(([path, item]) =>
      ['post', 'put', 'patch']
        .filter((method) => item[method]?.requestBody !== undefined && path.startsWith('/admin'))
        .map((method) => [method.toUpperCase(), path.replaceAll(/\{\w+\}/g, 'some-id')] as const),
    );
    expect(writes.length).toBeGreaterThan(8);
    await fc.assert(
      fc.asyncProperty(poison, fc.constantFrom(...writes), async (object, [method, path]) => {
        const { status, text } = await admin(on, method, path, object);
        expect([status >= 400 && status < 500, text.includes('"error"')]).toEqual([true, true]);
        expectClean();
      }),
      { numRuns: 200 },
    );
    // Where the names of fields are the caller's own.
    const azure = (deployments: string) =>
      `{"type":"azure","endpoint":"http://127.0.0.1:9","network":"lan","api_key":"0123456789abcdef","deployments":${deployments}}`;
    for (const deployments of [
      '{"__proto__":"a"}',
      '{"constructor":"a"}',
      '{"__proto__":{"polluted":"a"}}',
      '{"toString":"a"}',
    ]) {
      const { status } = await admin(on, 'POST', '/admin/overflow_provider', azure(deployments));
      expect([200, 201, 400]).toContain(status);
      expectClean();
    }
    const { status, text } = await admin(
      on,
      'POST',
      '/admin/keys',
      '{"name":"a","metadata":{"__proto__":"a","constructor":"b"}}',
    );
    expect([status, JSON.parse(text).metadata?.constructor]).toEqual([201, 'b']);
  }, 60_000);

  test('L-25 whatever paths, queries and headers say; none of them is found on a prototype', async () => {
    const server = await parts.simulator({ kind: 'vllm' });
    const on = await parts.gateway([targetFor(server)]);
    for (const key of POISON_NAMES) {
      for (const path of ['/admin/usage', '/admin/audit', '/admin/decisions', '/admin/keys', '/v1/models', '/health']) {
        for (const query of [`${key}=1`, `${key}[polluted]=1`, `${key}.polluted=1`, `a[${key}][polluted]=1`]) {
          expect((await admin(on, 'GET', `${path}?${query}`)).status).toBeLessThan(500);
        }
      }
      for (const path of [
        '/v1/models',
        '/admin/decisions',
        '/admin/keys',
        '/admin/overflow_provider',
        '/admin/users',
      ]) {
        const { status } = await admin(on, path.includes('provider') ? 'DELETE' : 'GET', `${path}/${key}`);
        expect([path, status >= 400 && status < 500]).toEqual([path, true]);
      }
      for (const header of ['route', 'place', 'strict-model']) {
        const response = await on.chat('hi', { headers: { [`x-swarmrouter-${header}`]: key } });
        expect([response.status, (await response.json()).error.code]).toEqual([400, 'invalid_header']);
      }
      // As a header's name, which an HTTP parser may put on an object (faults L-25), and as a model's.
      const client = talk(on.gateway.port, chatRequest('A', `${key}: polluted\r\n`));
      await until('it is answered', () => client.received().includes('canary:A'));
      client.destroy();
      for (const model of [key, `${key}/${key}`, `openai/${key}`]) {
        const response = await on.chat({ model, messages: [{ role: 'user', content: 'hi' }] });
        await response.text();
        expect([200, 404]).toContain(response.status);
      }
    }
  }, 30_000);

  test('whatever a model server says, whole or in pieces; and the client gets all of it', async () => {
    let reply: (stream: boolean) => string | Buffer = () => '';
    const raw = await parts.rawServer({
      chat: ({ socket, request }) => void socket.write(reply(JSON.parse(request.rawBody).stream === true)),
      listing: ({ socket }) =>
        void socket.write(
          httpReply(
            '{"object":"list","data":[{"id":"sim-model","__proto__":{"polluted":1}},{"id":"__proto__"},{"id":"constructor"}],"__proto__":{"polluted":1}}',
          ),
        ),
    });
    const { url, gateway } = await parts.gateway([targetOfRaw(raw, { assembleWholeReplies: true })]);
    await until('it is up', () => gateway.targets()[0]?.health === 'up');
    const ask = async (stream: boolean) => {
      const body = `{"model":"sim-model","stream":${stream},"messages":[{"role":"user","content":"hi"}]}`;
      const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: JSON_HEADERS, body });
      return { status: response.status, text: await response.text() };
    };
    await fc.assert(
      fc.asyncProperty(poison, fc.boolean(), async (object, stream) => {
        const inside = object.slice(1, -1);
        const delta = `{"content":"fine","tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}",${inside}},${inside}}],"reasoning_details":[{"index":0,${inside}}],${inside}}`;
        const event = `data: {"object":"chat.completion.chunk","model":"sim-model","choices":[{"index":0,"delta":${delta},"finish_reason":null,${inside}}],${inside}}\n\n`;
        reply = () =>
          `${STREAM_HEAD}${framed(`${event}data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`)}${LAST_CHUNK}`;
        const { status, text } = await ask(stream);
        expect([status, text.includes('fine')]).toEqual([200, true]);
        // In the choice, its message, its call, the function and the details.
        if (!stream) {
          const choice = JSON.parse(text).choices[0];
          for (const holder of [
            choice,
            choice.message,
            choice.message.tool_calls[0],
            choice.message.tool_calls[0].function,
            choice.message.reasoning_details[0],
            JSON.parse(text),
          ]) {
            for (const [key, value] of Object.entries(JSON.parse(object))) {
              if (value !== null)
                expect(JSON.stringify(Object.entries(holder))).toContain(JSON.stringify([key, value]));
            }
          }
        }
        expectClean();
      }),
      { numRuns: 100 },
    );
    for (const word of POISON_NAMES) {
      reply = () =>
        httpReply(
          `{"error":{"message":"no","code":"${word}","type":"${word}","metadata":{"error_type":"${word}"},"__proto__":{"polluted":1}}}`,
          { status: '400 Bad' },
        );
      expect((await ask(false)).status).toBe(400);
    }
  }, 60_000);

  test('whatever the configuration says', () => {
    const load = (yaml: string) =>
      loadConfig({
        flags: { __proto__: 'polluted', constructor: 'polluted' } as unknown as Record<string, string>,
        environment: {
          SWARMROUTER_ADMIN_KEY: 'admin-key-0123456789',
          SWARMROUTER_DATA_DIR: '/data',
          __proto__: 'x',
        } as unknown as Record<string, string>,
        directory: '/w',
        readFile: (path) => (path.endsWith('.yaml') ? yaml : null),
      });
    fc.assert(
      fc.property(poison, fc.constantFrom(...POISON_NAMES), (object, key) => {
        for (const yaml of [
          object,
          `aliases: ${object}`,
          `aliases:\n  ${key}: polluted`,
          `routes: ${object}`,
          `routes:\n  ${key}:\n    strategy: local-first`,
          `routes:\n  r: ${object}`,
          `targets: [${object}]`,
          `targets:\n  - name: a\n    kind: vllm\n    url: http://127.0.0.1:1\n    ${key}: polluted`,
          `targets:\n  - name: ${key}\n    kind: azure\n    url: http://127.0.0.1:1\n    deployments: ${object}`,
          `prices: [${object}]`,
          `local_rates: [${object}]`,
          `? *a\n: &a ${object}`,
          `<<: ${object}`,
        ]) {
          const result = load(yaml);
          if (!result.ok) for (const { message } of result.problems) expect(message.length).toBeGreaterThan(0);
          expectClean();
        }
      }),
      { numRuns: 100 },
    );
    const result = loadConfig({
      flags: {},
      environment: { SWARMROUTER_ADMIN_KEY: 'admin-key-0123456789', SWARMROUTER_DATA_DIR: '/data' },
      directory: '/w',
      readFile: (path) => (path.endsWith('.yaml') ? 'aliases:\n  __proto__: a\n  constructor: b\n' : null),
    });
    expect(result.ok && [...result.config.modelAliases]).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
  });
});
