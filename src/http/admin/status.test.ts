import { describe, expect, test } from 'bun:test';
import { Secret } from '../../core/secret.ts';
import { ADMIN_KEY, adminPorts, SNAPSHOT, someTarget, someView } from './admin-fixture.ts';
import { createAdminApp } from './app.ts';

async function status(ports: Parameters<typeof adminPorts>[0]) {
  const request = new Request('http://localhost/admin/status', { headers: { authorization: `Bearer ${ADMIN_KEY}` } });
  const reply = await createAdminApp(adminPorts(ports)).fetch(request);
  expect(reply.status).toBe(200);
  const text = await reply.text();
  return { text, body: JSON.parse(text) };
}

describe('the status of the gateway', () => {
  test('tells of each target what an operator asks', async () => {
    const view = someView({
      target: someTarget({ apiKey: new Secret('sk-canary-0001'), baseUrl: 'http://me:hunter2@gpu:1234' }),
      health: 'down',
      healthReason: 'refused sk-canary-0001',
      snapshot: SNAPSHOT,
      inFlight: 2,
      queued: 1,
      stats: {
        requests: 3,
        errors: 1,
        errorRate: 1 / 3,
        latencyP50Ms: 12.345,
        latencyP95Ms: 99,
        lastError: { kind: 'badCredentials', message: 'Incorrect API key: sk-canary-0001', atWallMs: 0 },
      },
    });
    const { body, text } = await status({ targets: () => [view] });
    expect(body.targets[0]).toMatchObject({
      id: 'lmstudio',
      url: 'http://gpu:1234',
      source: 'environment',
      health: 'down',
      health_reason: 'refused [secret]',
      slots: 4,
      in_flight: 2,
      queued: 1,
      requests: 3,
      errors: 1,
      error_rate: 0.3333,
      latency_ms: { p50: 12.3, p95: 99 },
      last_error: { kind: 'badCredentials', message: 'Incorrect API key: [secret]', at: '1970-01-01T00:00:00.000Z' },
    });
    expect(body.targets[0].models.map((model: { id: string }) => model.id)).toEqual(['big', 'small']);
    expect(text).not.toMatch(/canary|hunter2/);
  });

  test('tells of each model what the server says of it, and what real traffic taught', async () => {
    const [big] = SNAPSHOT.models;
    if (big === undefined) throw new Error('the fixture has a model');
    const capabilities = { vision: true, tools: null, reasoning: false, jsonSchema: true };
    const view = someView({
      snapshot: {
        ...SNAPSHOT,
        models: [{ ...big, capabilities, quantization: 'Q4_K_M', sizeBytes: 4_700_000_000 }],
        load: { running: 2, waiting: 1, cacheUsage: 0.33333 },
        notes: ['it lists too much'],
      },
      learned: [
        {
          model: 'big',
          prefillTokensPerSecond: 812.345,
          decodeTokensPerSecond: 41.26,
          loadSeconds: null,
          networkSeconds: 0.001234,
          slots: 4,
          bytesPerToken: 4.123,
          contextLength: null,
          samples: 12,
          conversations: 3,
        },
      ],
    });
    const { body } = await status({ targets: () => [view, someView()] });
    const [target, bare] = body.targets;
    expect(target.load).toEqual({ running: 2, waiting: 1, cache_usage: 0.333 });
    expect([target.notes, bare.notes]).toEqual([['it lists too much'], []]);
    const told = { vision: true, tools: null, reasoning: false, json_schema: true };
    expect(target.models[0]).toMatchObject({ capabilities: told, quantization: 'Q4_K_M', size_bytes: 4_700_000_000 });
    expect(target.learned).toEqual([
      {
        model: 'big',
        prefill_tokens_per_second: 812.3,
        decode_tokens_per_second: 41.3,
        load_seconds: null,
        network_seconds: 0.0012,
        slots: 4,
        bytes_per_token: 4.12,
        context_length: null,
        samples: 12,
        conversations: 3,
      },
    ]);
    expect([bare.load, bare.learned]).toEqual([null, []]);
  });

  test('lists servers that were never there apart, but not a server that was asked for', async () => {
    const found = someView({ health: 'absent', target: someTarget({ id: 'ollama', optional: true, source: 'found' }) });
    const asked = someView({ health: 'down', target: someTarget({ id: 'box' }) });
    const { body } = await status({ targets: () => [found, asked] });
    expect(body.absent_targets.map(({ id }: { id: string }) => id)).toEqual(['ollama']);
    expect(body.targets.map(({ id }: { id: string }) => id)).toEqual(['box']);
  });

  test('shows the settings in force with where they came from, and a secret only as such', async () => {
    const { body } = await status({
      settings: () => [
        { name: 'SWARMROUTER_PORT', value: 8000, source: 'environment' },
        { name: 'OPENROUTER_API_KEY', value: new Secret('sk-canary-0002'), source: '.env' },
      ],
    });
    expect(body).toMatchObject({ strategy: 'local-first', version: '9.9.9', uptime_seconds: 12.345 });
    expect(body.settings).toEqual([
      { name: 'SWARMROUTER_PORT', value: 8000, source: 'environment' },
      { name: 'OPENROUTER_API_KEY', value: '[secret]', source: '.env' },
    ]);
  });
});
