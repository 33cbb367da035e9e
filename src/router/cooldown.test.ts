import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { FAILURE_RULES, type FailureKind, UpstreamError } from '../core/failure.ts';
import { type Cooldown, nextCooldown } from './cooldown.ts';

const after = (kind: FailureKind, retryAfterMs: number | null, current: Cooldown | null = null, nowMs = 1_000) =>
  nextCooldown(current, new UpstreamError(kind, kind, { retryAfterMs }), nowMs);

describe('the cooldown', () => {
  test('lasts as long as the target said, at most five minutes', () => {
    expect(after('overloaded', 7_000)).toEqual({ untilMs: 8_000, kind: 'overloaded', stated: true });
    expect(after('overloaded', 9_999_999)?.untilMs).toBe(301_000);
  });

  test('is a guess of one second when it said nothing, and a minute where a person must act', () => {
    expect(after('overloaded', null)).toEqual({ untilMs: 2_000, kind: 'overloaded', stated: false });
    expect(after('outOfQuota', null)).toEqual({ untilMs: 61_000, kind: 'outOfQuota', stated: false });
    expect(after('badCredentials', 10)?.untilMs).toBe(61_000);
  });

  test('never ends earlier because of a later, shorter one', () => {
    const long = after('overloaded', 60_000);
    expect(after('overloaded', 1_000, long)).toBe(long);
  });

  test('other failures leave it as it is', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.keys(FAILURE_RULES) as FailureKind[])),
        fc.nat(10_000),
        (kind, retryAfterMs) => {
          const current: Cooldown = { untilMs: 50_000, kind: 'overloaded', stated: true };
          const next = after(kind, retryAfterMs, current);
          expect(next?.untilMs).toBeGreaterThanOrEqual(50_000);
          if (!['overloaded', 'outOfQuota', 'badCredentials'].includes(kind)) expect(next).toBe(current);
        },
      ),
    );
  });
});
