import { describe, expect, test } from 'bun:test';
import type { TargetView } from '../core/target-view.ts';
import { METRICS } from './metric-list.ts';
import { createMetrics } from './metrics.ts';
import { metricsPage } from './metrics-page.ts';
import { cut, exhausted, failedAttempt, served, someAttempt, someRequest } from './outcome-fixture.ts';
import { fanOut } from './sinks.ts';

const BUDGET = {
  ...{ organisationId: 'default', scope: 'project', scopeId: 'web', unit: 'usd', window: 'month', hard: true },
};
const create = (targets: () => readonly TargetView[] = () => []) =>
  createMetrics({
    version: '9.9.9',
    targets,
    shed: () => ({ memory: 0, loop_lag: 2 }),
    refused: () => ({ revoked: 3 }),
    budgets: () => [{ budget: BUDGET, ratio: 0.75, keyName: null }],
    ledger: () => ({
      checkedAtMs: 1_796_000_000_500,
      findings: { I1: 0, I2: 3 },
      overcharged: { calls: 2, excessNanoUsd: 1_500_000_000, excessTokens: 70 },
    }),
  });
const lines = async (metrics: { text(): Promise<string> }, start: string) =>
  (await metrics.text()).split('\n').filter((line) => line.startsWith(start));

function view(id: string, changes: Partial<TargetView>): TargetView {
  const stats = { requests: 0, errors: 0, errorRate: 0, latencyP50Ms: null, latencyP95Ms: null, lastError: null };
  return {
    target: {
      id,
      provider: id,
      adapterKind: 'lm-studio',
      place: 'local',
      baseUrl: '',
      apiKey: null,
      source: 'found',
      optional: false,
      network: 'any',
      maxConcurrent: null,
      clocks: { connectMs: 1, firstByteMs: 1, firstTokenMs: 1, idleMs: 1, warmupMs: 1, streamMs: 1, queueMs: null },
      defaultModel: null,
      deployments: new Map(),
      apiVersion: null,
      continuesAnswers: null,
      assembleWholeReplies: true,
    },
    health: 'up',
    healthReason: null,
    snapshot: null,
    inFlight: 0,
    queued: 0,
    slots: null,
    stats,
    probedAtWallMs: null,
    learned: [],
    ...changes,
  };
}

describe('metrics', () => {
  test('count requests, attempts, errors and tokens of an overflowed request', async () => {
    const metrics = create();
    const by = someAttempt({ targetId: 'openrouter', adapterKind: 'openrouter', place: 'cloud', queuedMs: 30 });
    metrics.record(served({ by, attempts: [failedAttempt, by] }));
    expect(await lines(metrics, 'swarmrouter_requests_total')).toEqual([
      'swarmrouter_requests_total{outcome="served",place="cloud"} 1',
    ]);
    expect(await lines(metrics, 'swarmrouter_attempts_total')).toEqual([
      'swarmrouter_attempts_total{target="lmstudio",provider="lm-studio",result="error"} 1',
      'swarmrouter_attempts_total{target="openrouter",provider="openrouter",result="ok"} 1',
    ]);
    expect(await lines(metrics, 'swarmrouter_errors_total')).toEqual([
      'swarmrouter_errors_total{target="lmstudio",kind="unreachable"} 1',
    ]);
    expect(await lines(metrics, 'swarmrouter_tokens_total')).toEqual([
      'swarmrouter_tokens_total{target="openrouter",type="prompt"} 50',
      'swarmrouter_tokens_total{target="openrouter",type="completion"} 7',
      'swarmrouter_tokens_total{target="openrouter",type="cached"} 10',
    ]);
    expect(await lines(metrics, 'swarmrouter_first_token_seconds_count')).toEqual([
      'swarmrouter_first_token_seconds_count{target="openrouter"} 1',
    ]);
    expect(await lines(metrics, 'swarmrouter_queue_wait_seconds_sum')).toEqual([
      'swarmrouter_queue_wait_seconds_sum{target="openrouter"} 0.03',
    ]);
  });

  test('do not forget or double what was counted when they are read twice', async () => {
    const metrics = create();
    for (let at = 0; at < 3; at++) metrics.record(served());
    expect(await lines(metrics, 'swarmrouter_requests_total')).toEqual(
      await lines(metrics, 'swarmrouter_requests_total'),
    );
    metrics.record(served());
    expect(await lines(metrics, 'swarmrouter_requests_total')).toEqual([
      'swarmrouter_requests_total{outcome="served",place="local"} 4',
    ]);
  });

  test('count a reply that broke midway as an error of its target', async () => {
    const metrics = create();
    metrics.record(cut());
    expect(await lines(metrics, 'swarmrouter_errors_total')).toEqual([
      'swarmrouter_errors_total{target="lmstudio",kind="truncated"} 1',
    ]);
  });

  test("count a client that went away as nobody's error", async () => {
    const metrics = create();
    const { model: _, ...rest } = served();
    metrics.record({ ...rest, kind: 'abandoned' });
    expect(await lines(metrics, 'swarmrouter_attempts_total')).toEqual([
      'swarmrouter_attempts_total{target="lmstudio",provider="lm-studio",result="cancelled"} 1',
    ]);
    expect(await lines(metrics, 'swarmrouter_errors_total')).toEqual([]);
  });

  test('have buckets from 10 ms doubled up to 327.68 s', async () => {
    const metrics = create();
    metrics.record(served({ durationMs: 300_000 }));
    const bounds = (await lines(metrics, 'swarmrouter_request_duration_seconds_bucket')).map(
      (line) => /le="([^"]+)"/.exec(line)?.[1],
    );
    expect(bounds).toEqual([...Array.from({ length: 16 }, (_, n) => String((10 * 2 ** n) / 1000)), '+Inf']);
    expect(bounds.at(-2)).toBe('327.68');
  });

  test('read the targets at the moment of the scrape and forget the ones that left', async () => {
    let targets = [view('a', { inFlight: 2, queued: 1, slots: 4 }), view('b', { health: 'down' })];
    const metrics = create(() => targets);
    const values = async () => (await lines(metrics, 'swarmrouter_target_')).sort();
    expect(await values()).toEqual([
      'swarmrouter_target_healthy{target="a"} 1',
      'swarmrouter_target_healthy{target="b"} 0',
      'swarmrouter_target_in_flight{target="a"} 2',
      'swarmrouter_target_in_flight{target="b"} 0',
      'swarmrouter_target_queued{target="a"} 1',
      'swarmrouter_target_queued{target="b"} 0',
      'swarmrouter_target_slots{target="a"} 4',
    ]);
    targets = [];
    expect(await values()).toEqual([]);
  });

  test('stay bounded whatever clients and target names do', async () => {
    const metrics = create();
    const before = (await metrics.text()).length;
    for (let at = 0; at < 2000; at++) {
      metrics.record(served({ model: `answered-${at}`, request: someRequest({ requestedModel: `model-${at}\n"}` }) }));
    }
    expect((await metrics.text()).length - before).toBeLessThan(6000);
    expect(await metrics.text()).not.toContain('model-1');
    for (let at = 0; at < 1000; at++) metrics.record(served({ by: someAttempt({ targetId: `target-${at}` }) }));
    expect((await lines(metrics, 'swarmrouter_attempts_total')).length).toBe(257);
    expect((await lines(metrics, 'swarmrouter_attempts_total')).at(-1)).toBe(
      'swarmrouter_attempts_total{target="other",provider="lm-studio",result="ok"} 745',
    );
  });

  test('are exactly the declared ones, each with its type and help, on the page too', async () => {
    const text = await create().text();
    const exposed = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`);
    expect(exposed.sort()).toEqual(METRICS.map(({ name, type }) => `${name} ${type}`).sort());
    for (const { name, help } of METRICS) {
      expect(text).toContain(`# HELP ${name} ${help}`);
      expect(metricsPage()).toContain(`| \`${name}\` |`);
    }
    expect(text).toContain('swarmrouter_build_info{version="9.9.9"} 1');
  });

  test('tell of the process', async () => {
    const value = async (name: string) => Number((await lines(create(), `${name} `))[0]?.split(' ')[1]);
    expect(await value('process_resident_memory_bytes')).toBeGreaterThan(1e6);
    expect(await value('process_cpu_seconds_total')).toBeGreaterThan(0);
    expect(Math.abs((await value('process_start_time_seconds')) - Date.now() / 1000)).toBeLessThan(86_400);
  });
});

describe('several sinks', () => {
  test('all get each outcome in order, also after one that throws', () => {
    const seen: string[] = [];
    const sink = (name: string) => ({
      record: (outcome: { kind: string }) => void seen.push(`${name} ${outcome.kind}`),
    });
    const broken = {
      record() {
        throw new Error('full disk');
      },
    };
    const warned: string[] = [];
    const emitWarning = process.emitWarning;
    process.emitWarning = (text: string | Error) => void warned.push(String(text));
    try {
      const all = fanOut(sink('a'), broken, sink('b'));
      all.record(served());
      all.record(exhausted());
    } finally {
      process.emitWarning = emitWarning;
    }
    expect(seen).toEqual(['a served', 'b served', 'a exhausted', 'b exhausted']);
    expect(warned).toEqual(['an outcome could not be recorded: full disk']);
  });
});

describe('a budget', () => {
  test('shows how much of its limit it has used', async () => {
    const text = await createMetrics({
      version: '1',
      targets: () => [],
      shed: () => ({}),
      refused: () => ({}),
      budgets: () => [
        { budget: BUDGET, ratio: 0.75, keyName: null },
        { budget: { ...BUDGET, scope: 'key', scopeId: 'key_1' }, ratio: 0.5, keyName: 'alice' },
      ],
      ledger: () => null,
    }).text();
    const labels =
      'organisation="default",scope="project",name="web",key_name="",unit="usd",window="month",hard="true"';
    expect(text).toContain(`swarmrouter_budget_used_ratio{${labels}} 0.75\n`);
    expect(text).toContain('scope="key",name="key_1",key_name="alice"');
  });
});

test('the latest check of the ledger shows what it found, also nothing, and when; before the first one there is none', async () => {
  expect(await lines(create(), 'swarmrouter_ledger')).toEqual([
    'swarmrouter_ledger_findings{invariant="I1"} 0',
    'swarmrouter_ledger_findings{invariant="I2"} 3',
    'swarmrouter_ledger_overcharged_calls 2',
    'swarmrouter_ledger_overcharged_usd 1.5',
    'swarmrouter_ledger_overcharged_tokens 70',
    'swarmrouter_ledger_checked_timestamp_seconds 1796000000.5',
  ]);
});
