import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { LoadResult } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { targetFingerprint } from '../../src/core/target-fingerprint.ts';
import { createGateway, type Gateway } from '../../src/gateway.ts';

const ADMIN_KEY = 'reload-admin-key-0123456789';

interface Files {
  readonly env: string;
  readonly yaml: string;
}

/** What people write: every place and kind of value that a reload has to do with. Nobody listens at these ports. */
const WRITTEN: Files = {
  env: 'SWARMROUTER_MAX_RETRIES=2\nOPENROUTER_API_KEY="sk-or-v1-0123456789abcdef" # the team\nOPENROUTER_BASE_URL=http://127.0.0.1:9/v1\n',
  yaml: `# the office
default_model: qwen
stand_in: unknown
idle_timeout: 30
queue_limit: 20
stream_recovery: off
max_body_mb: 8

aliases:
  gpt-4o: box/qwen
  fast: openrouter/openai/gpt-4o-mini

routes:
  careful:
    stream_recovery: continue

targets:
  - name: box
    kind: lm-studio
    url: http://127.0.0.1:9
    max_concurrent: 2
    idle_timeout: 10
  - name: lab
    kind: vllm
    url: http://127.0.0.1:19
    api_key: key-of-the-lab-0123
  - name: cloud
    kind: openai-compatible
    url: https://127.0.0.1:29/v1
    api_key: env:CLOUD_KEY
    default_model: large
`,
};

/** What stands behind a key. */
const VALUE = /(: |=).+$/;
const lines = (text: string): string[] => text.split('\n');

/** One slip of the hand, or a change that was meant. */
const slip = fc.oneof(
  fc.record({ do: fc.constant('drop line' as const), at: fc.nat() }),
  fc.record({ do: fc.constant('double line' as const), at: fc.nat() }),
  fc.record({ do: fc.constant('swap lines' as const), at: fc.nat() }),
  fc.record({ do: fc.constant('drop character' as const), at: fc.nat() }),
  fc.record({
    do: fc.constant('insert' as const),
    at: fc.nat(),
    text: fc.constantFrom(
      ' ',
      '  ',
      '\n',
      ':',
      '- ',
      '#',
      '"',
      '{',
      '[',
      '&a ',
      '*a',
      '!!',
      '\t',
      '\u0000',
      'é',
      '1',
      '0',
      '-',
      'x',
      '?',
    ),
  }),
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('value' as const),
      at: fc.nat(),
      text: fc.constantFrom('7', '90', 'off', 'never', 'box', 'vllm', 'http://127.0.0.1:49', 'another-key-0123', ''),
    }),
  },
  fc.record({ do: fc.constant('digit' as const), at: fc.nat(), digit: fc.integer({ min: 0, max: 9 }) }),
);
type Slip = typeof slip extends fc.Arbitrary<infer Value> ? Value : never;

function withSlip(text: string, change: Slip): string {
  const all = lines(text);
  const line = change.at % Math.max(1, all.length);
  const at = change.at % Math.max(1, text.length);
  switch (change.do) {
    case 'drop line':
      return all.toSpliced(line, 1).join('\n');
    case 'double line':
      return all.toSpliced(line, 0, all[line] ?? '').join('\n');
    case 'swap lines':
      return all.toSpliced(line, 2, all[line + 1] ?? '', all[line] ?? '').join('\n');
    case 'drop character':
      return text.slice(0, at) + text.slice(at + 1);
    case 'insert':
      return text.slice(0, at) + change.text + text.slice(at);
    case 'value': {
      const valued = [...all.keys()].filter((index) => VALUE.test(all[index] ?? ''));
      const chosen = valued[change.at % Math.max(1, valued.length)] ?? 0;
      return all.toSpliced(chosen, 1, (all[chosen] ?? '').replace(VALUE, `$1${change.text}`)).join('\n');
    }
    case 'digit': {
      const digits = [...text.matchAll(/\d/g)].map(({ index }) => index);
      const index = digits[change.at % Math.max(1, digits.length)];
      return index === undefined ? text : text.slice(0, index) + change.digit + text.slice(index + 1);
    }
  }
}

const files = fc.record({ env: fc.array(slip, { maxLength: 2 }), yaml: fc.array(slip, { maxLength: 3 }) }).map(
  (slips): Files => ({
    env: slips.env.reduce(withSlip, WRITTEN.env),
    yaml: slips.yaml.reduce(withSlip, WRITTEN.yaml),
  }),
);

/** All that a configuration comes to, as far as anybody outside can tell. */
async function stateOf(gateway: Gateway) {
  const reply = await fetch(`${gateway.url}/admin/status`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } });
  const { settings, strategy, config } = await reply.json();
  const models = await (await fetch(`${gateway.url}/v1/models`)).json();
  return {
    settings,
    strategy,
    needsRestart: config.needs_restart,
    models: models.data.map(({ id }: { id: string }) => id),
    targets: gateway.targets().map(({ target }) => [target.id, targetFingerprint(target)]),
  };
}

describe('F-48 L-11: for any changes of the files, meant and slips of the hand', () => {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-reload-'));
  let current: Files = WRITTEN;
  let gateway: Gateway;

  const environment = {
    SWARMROUTER_PORT: '0',
    SWARMROUTER_ADMIN_KEY: ADMIN_KEY,
    SWARMROUTER_DATA_DIR: join(folder, 'data'),
    SWARMROUTER_CONNECT_TIMEOUT: '0.2',
    CLOUD_KEY: 'key-of-the-cloud-0123',
  };
  let lastLoaded: LoadResult;
  const load = (): LoadResult => {
    lastLoaded = loadConfig({
      flags: {},
      environment,
      directory: folder,
      readFile: (path) => (path.endsWith('.env') ? current.env : path.endsWith('.yaml') ? current.yaml : null),
    });
    return lastLoaded;
  };
  const start = async (): Promise<Gateway> => {
    const loaded = load();
    if (!loaded.ok) throw new Error('the files are refused');
    const started = await createGateway(loaded.config, { load, logTo: join(folder, 'log.jsonl') });
    await started.probed(1_000);
    return started;
  };

  beforeAll(async () => {
    gateway = await start();
    const added = await fetch(`${gateway.url}/admin/overflow_provider`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        type: 'openrouter',
        api_key: 'sk-of-the-admin-0123',
        base_url: 'http://127.0.0.1:39/v1',
        network: 'lan',
      }),
    });
    expect(added.status).toBe(201);
  });
  afterAll(async () => {
    await gateway.stop(0);
    rmSync(folder, { recursive: true, force: true });
  });

  test('a reload takes them whole or not at all, and never fails in another way', () => {
    const seen = { taken: 0, refused: 0 };
    const state = () => JSON.stringify(gateway.targets().map(({ target }) => targetFingerprint(target)));
    fc.assert(
      fc.property(files, (written) => {
        const before = state();
        current = written;
        const result = gateway.reload();
        const cold = lastLoaded;
        expect(result.ok).toBe(cold.ok);
        if (!result.ok) {
          seen.refused++;
          expect(result.problems.length).toBeGreaterThan(0);
          expect(state()).toBe(before);
          return;
        }
        seen.taken++;
        const wanted = cold.ok ? cold.config.targets.map(({ id }) => id) : [];
        const ids = gateway.targets().map(({ target: { id } }) => id);
        expect(ids).toEqual(wanted.includes('openrouter') ? wanted : [...wanted, 'openrouter']);
      }),
      { numRuns: 2_000 },
    );
    // Else it would have shown nothing.
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(200);
  }, 60_000);

  test('what is in force afterwards is what a cold start with the same files comes to', async () => {
    await fc.assert(
      fc.asyncProperty(files, async (written) => {
        current = written;
        fc.pre(load().ok);
        expect(gateway.reload().ok).toBe(true);
        const fresh = await start();
        try {
          const [warm, cold] = [await stateOf(gateway), await stateOf(fresh)];
          // The one thing that a restart is for.
          const restart = new Set<string>(warm.needsRestart);
          const usual = ({ settings, needsRestart, ...rest }: typeof warm) => ({
            ...rest,
            settings: settings.filter(({ name }: { name: string }) => !restart.has(name)),
          });
          expect(usual(warm)).toEqual(usual(cold));
        } finally {
          await fresh.stop(0);
        }
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});
