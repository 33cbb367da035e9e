import { describe, expect, test } from 'bun:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { AuditEvent } from '../core/audit.ts';
import { MOST_RECORDED, RecordedRefusals, SPAN_MS } from './recorded-refusals.ts';

function refusals({ fails = false } = {}) {
  const clock = new ManualClock();
  const events: AuditEvent[] = [];
  const warnings: string[] = [];
  const logger = { debug: () => undefined, info: () => undefined, error: () => undefined };
  const recorder = new RecordedRefusals({
    clock,
    logger: { ...logger, warn: (_, message) => void warnings.push(message) },
    audit: {
      record: async (event) => {
        if (fails) throw new Error('the store is full');
        events.push(event);
      },
    },
  });
  const note = (peerAddress: string | null = '10.0.0.7', reason: string | null = null, subject = 'admin') =>
    recorder.note({
      action: 'admin.login',
      subject,
      reason,
      origin: { actor: { kind: 'anyone', id: null }, peerAddress, requestId: null },
    });
  const times = (count: number, run: (index: number) => void) => {
    for (let index = 0; index < count; index++) run(index);
  };
  return { clock, events, warnings, recorder, note, times };
}

describe('refusals on record', () => {
  test('are there one by one, with who and from where', () => {
    const { events, note } = refusals();
    note('10.0.0.7');
    note('10.0.0.8');
    expect(events.map(({ origin, outcome }) => [origin.peerAddress, outcome])).toEqual([
      ['10.0.0.7', 'refused'],
      ['10.0.0.8', 'refused'],
    ]);
  });

  test('of a flood are ten, and one entry that says how many were left out, from where', async () => {
    const { clock, events, note, times } = refusals();
    times(5_000, () => note());
    times(3, () => note('10.0.0.8'));
    note(null);
    expect(events).toHaveLength(MOST_RECORDED);
    await clock.advance(SPAN_MS);
    expect(events).toHaveLength(MOST_RECORDED + 1);
    expect(events.at(-1)).toMatchObject({
      action: 'admin.login',
      outcome: 'refused',
      after: {
        left_out: 4_994,
        since: '2023-11-14T22:13:20.000Z',
        by_address: { '10.0.0.7': 4_990, '10.0.0.8': 3, 'not known': 1 },
      },
    });
    note();
    expect(events).toHaveLength(MOST_RECORDED + 2);
  });

  test('that go on for a day fill no store', async () => {
    const { clock, events, note, times } = refusals();
    for (let minute = 0; minute < 1_440; minute++) {
      times(100, () => note());
      await clock.advance(60_000);
    }
    expect(events.length).toBeLessThanOrEqual(144 * (MOST_RECORDED + 1));
    const leftOut = events.map(({ after }) => (after as { left_out?: number } | undefined)?.left_out ?? 1);
    expect(leftOut.reduce((sum, count) => sum + count, 0)).toBe(144_000);
  });

  test('name a bounded number of addresses', async () => {
    const { clock, events, note, times } = refusals();
    times(1_000, (index) => note(`10.0.${index >> 8}.${index & 255}`));
    await clock.advance(SPAN_MS);
    const summary = events.at(-1)?.after as { by_address: Record<string, number> } | undefined;
    const byAddress = summary?.by_address ?? {};
    expect(Object.keys(byAddress)).toHaveLength(21);
    expect(byAddress['others']).toBe(1_000 - MOST_RECORDED - 20);
  });

  test('of one kind leave room for those of another', () => {
    const { events, note, times } = refusals();
    times(100, () => note('10.0.0.7', 'malformed', 'key:unknown'));
    note('10.0.0.9', 'revoked', 'key:key_1');
    expect(events.at(-1)).toMatchObject({ subject: 'key:key_1', after: { reason: 'revoked' } });
  });

  test('that were left out name no single key', async () => {
    const { clock, events, times, note } = refusals();
    times(100, (index) => note('10.0.0.7', 'revoked', `key:key_${index}`));
    await clock.advance(SPAN_MS);
    expect(events.at(-1)).toMatchObject({ subject: 'key:*', after: { reason: 'revoked', left_out: 90 } });
  });

  test('leave nothing behind when all is closed: what was left out is on record, no timer waits', async () => {
    const { clock, events, recorder, note, times } = refusals();
    times(MOST_RECORDED + 1, () => note());
    await recorder.close();
    expect(events.at(-1)?.after).toMatchObject({ left_out: 1 });
    expect(clock.pendingTimers).toBe(0);
  });

  test('that cannot be written hold up nobody, and the log says so', async () => {
    const { warnings, recorder, note } = refusals({ fails: true });
    note();
    await recorder.close();
    expect(warnings).toEqual(['a refusal could not be put on the audit log']);
  });
});
