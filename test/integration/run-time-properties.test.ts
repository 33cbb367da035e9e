import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { loadConfig } from '../../src/config/load.ts';
import { targetFingerprint } from '../../src/core/target-fingerprint.ts';
import { createGateway, type Gateway } from '../../src/gateway.ts';

const ADMIN_KEY = 'run-time-admin-key-0123456789';
const KEY = 'key-of-a-provider-0123456789';

/** What the file may say. Nobody listens at these ports. */
const FILES = [
  'idle_timeout: 30\n',
  `aliases:
  Fast: box/qwen
routes:
  quick:
    stream_recovery: continue
targets:
  - name: box
    kind: lm-studio
    url: http://127.0.0.1:9
    max_concurrent: 2
`,
  `max_concurrent: 3
strategy: fastest
stream_recovery: continue
aliases:
  gpt-4o: box/large
targets:
  - name: far
    kind: openai-compatible
    url: https://127.0.0.1:29/v1
    api_key: key-of-the-file-0123
  - name: box
    kind: vllm
    url: http://127.0.0.1:19
`,
];

const providerName = fc.constantFrom('box', 'far', 'lmstudio', 'other');
const kind = fc.constantFrom('lm-studio', 'vllm', 'openai-compatible', 'auto');
const url = fc.constantFrom('http://127.0.0.1:9', 'http://127.0.0.1:39/v1', 'http://localhost:1234', 'ftp://wrong');
const settings = fc.record(
  {
    ...{
      max_concurrent: fc.constantFrom(1, 8, null),
      idle_timeout: fc.constantFrom(5, 0.001, null),
      network: fc.constant('lan'),
    },
    ...{
      api_key: fc.constantFrom(KEY, null),
      assemble: fc.constantFrom(true, false, null),
      default_model: fc.constantFrom('m', null),
    },
  },
  { requiredKeys: ['network'] },
);
const aliasName = fc.constantFrom('fast', 'FAST', 'gpt-4o', 'cheap');
const routeName = fc.constantFrom('quick', 'sturdy', 'fastest');
const route = fc.record(
  {
    strategy: fc.constantFrom('fastest', 'nobodys', null),
    stream_recovery: fc.constantFrom('off', 'continue'),
    max_first_token_ms: fc.constantFrom(5, -1),
  },
  { requiredKeys: [] },
);
const call = (method: string, path: string, body?: unknown) => ({ method, path, body });
const change = fc.oneof(
  fc
    .tuple(providerName, kind, url, settings)
    .map(([name, of, at, rest]) => call('PUT', `providers/${name}`, { kind: of, url: at, ...rest })),
  fc.tuple(providerName, settings).map(([name, rest]) => call('PATCH', `providers/${name}`, rest)),
  providerName.map((name) => call('DELETE', `providers/${name}`)),
  fc
    .tuple(aliasName, fc.constantFrom('box/qwen', 'Fast', ''))
    .map(([name, target]) => call('PUT', `aliases/${name}`, { target })),
  aliasName.map((name) => call('DELETE', `aliases/${name}`)),
  fc.tuple(routeName, route).map(([name, body]) => call('PUT', `routes/${name}`, body)),
  routeName.map((name) => call('DELETE', `routes/${name}`)),
  fc.nat(FILES.length - 1).map((file) => ({ file })),
);

const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-run-time-'));
let yaml = FILES[0] ?? '';
let gateway: Gateway;

const load = () =>
  loadConfig({
    flags: {},
    environment: {
      SWARMROUTER_PORT: '0',
      SWARMROUTER_ADMIN_KEY: ADMIN_KEY,
      SWARMROUTER_DATA_DIR: join(folder, 'data'),
      SWARMROUTER_CONNECT_TIMEOUT: '0.2',
    },
    directory: folder,
    readFile: (path) => (path.endsWith('.yaml') ? yaml : null),
  });

async function start(): Promise<Gateway> {
  const loaded = load();
  if (!loaded.ok) throw new Error('the file is refused');
  return createGateway(loaded.config, { load, logTo: join(folder, 'log.jsonl') });
}

async function admin(on: Gateway, method: string, path: string, body?: unknown) {
  const reply = await fetch(`${on.url}/admin/${path}`, {
    method,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: reply.status, body: await reply.json() };
}

/** All that changes at run time, as it is in force. */
async function stateOf(on: Gateway) {
  const [{ providers }, aliases, routes] = await Promise.all(
    ['providers', 'aliases', 'routes'].map(async (list) => (await admin(on, 'GET', list)).body),
  );
  return {
    targets: on.targets().map(({ target }) => targetFingerprint(target)),
    providers: providers.map(({ health: _, ...rest }: { health: unknown }) => rest),
    ...{ aliases, routes },
  };
}

beforeAll(async () => {
  gateway = await start();
});
afterAll(async () => {
  await gateway.stop(0);
  rmSync(folder, { recursive: true, force: true });
});

test('what is in force after any changes and reloads is what a cold start with the same file and store comes to', async () => {
  const seen = { made: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), async (changes) => {
      for (const one of changes) {
        if ('file' in one) {
          yaml = FILES[one.file] ?? '';
          expect(gateway.reload().ok).toBe(true);
          continue;
        }
        const before = await stateOf(gateway);
        const { status } = await admin(gateway, one.method, one.path, one.body);
        if (status < 300) seen.made++;
        else {
          seen.refused++;
          expect([400, 404, 409]).toContain(status);
          expect(await stateOf(gateway)).toEqual(before);
        }
      }
      const warm = await stateOf(gateway);
      const fresh = await start();
      try {
        expect(await stateOf(fresh)).toEqual(warm);
      } finally {
        await fresh.stop(0);
      }
    }),
    { numRuns: 15 },
  );
  // Else it would have shown nothing.
  expect(Math.min(seen.made, seen.refused)).toBeGreaterThan(5);
}, 120_000);
