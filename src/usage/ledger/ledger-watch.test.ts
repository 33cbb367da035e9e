import { expect, test } from 'bun:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { AuditEvent } from '../../core/audit.ts';
import type { LedgerFinding, Overcharges } from '../../core/ledger-check.ts';
import type { Logger } from '../../core/logger.ts';
import { LedgerWatch } from './ledger-watch.ts';

const DAY_MS = 86_400_000;
const FINDING: LedgerFinding = { rule: 'I1', organisationId: 'acme', subject: 'budget b', message: 'it is overspent' };

const NONE: Overcharges = { calls: 0, excessNanoUsd: 0, excessTokens: 0, parts: 0, listed: [] };

function watched(answer: () => Promise<readonly LedgerFinding[]>, afterCrash = false, overcharged = NONE) {
  const clock = new ManualClock();
  const said: string[] = [];
  const events: AuditEvent[] = [];
  const say =
    (level: string) =>
    (_: object, message: string): void =>
      void said.push(`${level}: ${message}`);
  const logger = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') } as Logger;
  let checks = 0;
  const verify = async () => {
    checks++;
    const findings = await answer();
    const rows = { attempts: 1, parts: 1, windows: 1, cutShort: new Set<never>() };
    return { ...rows, findings, overcharged, backlog: { waiting: 0, problem: null } };
  };
  const audit = { record: async (event: AuditEvent) => void events.push(event) };
  const watch = new LedgerWatch({ verification: { verify }, clock, logger, audit, afterCrash });
  watch.start();
  return { clock, watch, said, events, checks: () => checks };
}

test('once a day, and a minute after a start that followed a crash', async () => {
  const usual = watched(async () => []);
  await usual.clock.advance(DAY_MS - 1);
  expect(usual.checks()).toBe(0);
  await usual.clock.advance(2 * DAY_MS);
  expect(usual.checks()).toBe(2);
  const crashed = watched(async () => [], true);
  await crashed.clock.advance(60_000);
  expect(crashed.checks()).toBe(1);
  await crashed.clock.advance(DAY_MS);
  expect(crashed.checks()).toBe(2);
  await crashed.watch.stop();
  await crashed.clock.advance(9 * DAY_MS);
  expect(crashed.checks()).toBe(2);
});

test('each finding is told, and a flood of them does not flood the audit log', async () => {
  const { watch, said, events } = watched(async () => Array.from({ length: 50 }, () => FINDING));
  await watch.look();
  expect(said.filter((line) => line.startsWith('error:')).length).toBe(50);
  expect(events.length).toBe(8);
  expect(events[0]).toMatchObject({ action: 'ledger.finding', organisationId: 'acme', after: { findings: 50 } });
  expect(watch.state?.findings).toMatchObject({ I1: 50, I2: 0 });
});

test('calls that came to more than was set aside are a warning and in the metrics, and no finding', async () => {
  const { watch, said, events } = watched(async () => [], false, { ...NONE, calls: 2, excessNanoUsd: 7, parts: 3 });
  await watch.look();
  expect(said).toEqual([
    'warn: servers charged more than hard budgets had set aside: see swarmrouter ledger verify',
    'info: the ledger was checked: all of it agrees',
  ]);
  expect([events, watch.state?.overcharged]).toEqual([[], expect.objectContaining({ calls: 2, excessNanoUsd: 7 })]);
});

test('a store that does not answer is asked again the next day', async () => {
  let answers = false;
  const { clock, watch, said } = watched(async () => {
    if (!answers) throw new Error('it is gone');
    return [];
  });
  await clock.advance(DAY_MS);
  expect([said, watch.state]).toEqual([['warn: the ledger could not be checked'], null]);
  answers = true;
  await clock.advance(DAY_MS);
  expect(watch.state?.findings).toMatchObject({ I1: 0 });
});
