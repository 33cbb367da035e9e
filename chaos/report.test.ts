import { describe, expect, test } from 'bun:test';
import { type Flags, readFlags } from './flags.ts';
import { memoryTrend } from './memory.ts';
import { findingLines, isGood, jsonOf, type Result, summaryLines } from './report.ts';
import { requestPlan } from './schedule.ts';
import { Tally } from './tally.ts';
import type { Evidence } from './verdict.ts';

const evidence: Evidence = {
  plan: requestPlan(3, 17),
  expected: null,
  seen: {
    startedAtMs: 100,
    endedAtMs: 150,
    end: 'reply',
    status: 502,
    target: null,
    attempts: 1,
    shouldRetry: 'false',
    text: '',
    finishReason: null,
    hasUsage: false,
    done: false,
    error: { type: 'server_error', code: 'upstream_error', message: 'it failed' },
    detail: '',
  },
  arrivals: [
    {
      target: 'vee',
      atMs: 110,
      fault: { kind: 'status', status: 500 },
      call: { status: 500, endedAtMs: 120, aborted: false, reports: null },
    },
  ],
  absences: [
    { target: 'cpp', why: 'kill', fromMs: 90, toMs: 140 },
    { target: 'lang', why: 'refuse', fromMs: 10, toMs: 60 },
  ],
};

const BILLING = { rows: 1, states: { voided: 1 }, totals: {}, findings: [], broken: [] };

function resultOf(change: Partial<Result>, ...violations: readonly ('wrongly failed' | 'lost')[]): Result {
  const tally = new Tally();
  tally.add({ outcome: 'failed', violations }, evidence);
  const flags = readFlags(['--seed', '3', '--requests', '1'], 0) as Flags;
  return { flags, seconds: 2, tally, rssMegabytes: 80, memory: null, billing: BILLING, leftovers: [], ...change };
}

describe('the result of a chaos run', () => {
  test('is good when nothing happened that must not', () => {
    expect(isGood(resultOf({}))).toBe(true);
  });

  test('is bad through one violation, one thing left behind, a wrong bill, memory that grows, or no request at all', () => {
    expect(isGood(resultOf({}, 'lost'))).toBe(false);
    expect(isGood(resultOf({ leftovers: ['2 slots are still taken'] }))).toBe(false);
    expect(isGood(resultOf({ memory: memoryTrend([]) }))).toBe(false);
    const wrong = { fault: 'not billed', text: 'chaos-1 at vee: …' } as const;
    expect(isGood(resultOf({ billing: { ...BILLING, findings: [wrong] } }))).toBe(false);
    expect(isGood(resultOf({ billing: { ...BILLING, broken: ['I1: …'] } }))).toBe(false);
    expect(isGood(resultOf({ tally: new Tally() }))).toBe(false);
  });

  test('marks what is bad in the table', () => {
    const lines = summaryLines(resultOf({ leftovers: ['2 slots are still taken'] }, 'wrongly failed')).join('\n');
    expect(lines).toMatch(/BAD\S* wrongly failed +1/);
    expect(lines).toMatch(/ok \S* lost +0/);
    expect(lines).toMatch(/BAD\S* left behind +2 slots are still taken/);
  });

  test('tells of a finding who was asked, who was away, and how to see it again', () => {
    const lines = findingLines(resultOf({}, 'wrongly failed')).join('\n');
    expect(lines).toContain('vee +10 ms {"kind":"status","status":500}');
    expect(lines).toContain('cpp kill -10 ms to 40 ms');
    expect(lines).not.toContain('lang');
    expect(lines).toContain('npm run chaos -- --seed 3 --faults 0.25 --only 17');
    expect(findingLines(resultOf({}))).toEqual([]);
  });

  test('is told to machines in full', () => {
    const json: unknown = JSON.parse(JSON.stringify(jsonOf(resultOf({}, 'wrongly failed'))));
    expect(json).toMatchObject({
      ok: false,
      requests: 1,
      violations: { 'wrongly failed': 1, lost: 0 },
      durationMs: { half: 50, p99: 50, slowest: 50 },
      findings: [{ number: 17, violations: ['wrongly failed'], tried: [{ target: 'vee' }] }],
    });
  });
});

describe('the counts of a chaos run', () => {
  test('say how long requests took', () => {
    const tally = new Tally();
    for (let took = 1; took <= 100; took++) {
      tally.add(
        { outcome: 'served', violations: [] },
        { ...evidence, seen: { ...evidence.seen, endedAtMs: 100 + took } },
      );
    }
    expect([tally.durationMs(0.5), tally.durationMs(0.99), tally.durationMs(1)]).toEqual([50, 99, 100]);
  });

  test('say how long a server went on after its client had left', () => {
    const tally = new Tally();
    const left = (endedAtMs: number, aborted: boolean) => {
      const call = { status: 200, endedAtMs, aborted, reports: null };
      const arrivals = [{ target: 'vee', atMs: 110, fault: null, call }];
      tally.add({ outcome: 'aborted', violations: [] }, { ...evidence, arrivals });
    };
    left(190, true);
    left(900, false);
    expect(tally.slowestCancelMs).toBe(40);
  });

  test('keep a few findings, however many there are', () => {
    const tally = new Tally();
    for (let count = 0; count < 1_000; count++) tally.add({ outcome: 'failed', violations: ['lost'] }, evidence);
    expect([tally.violations.lost, tally.bad, tally.findings.length]).toEqual([1_000, 1_000, 20]);
  });
});
