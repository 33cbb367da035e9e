import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { addressSender, BodyClock, type BodyInRead } from './body-clock.ts';
import type { HttpError } from './http-error.ts';

const LIMITS = { timeoutMs: 20_000, slowLimit: 3 };

function started() {
  const clock = new ManualClock();
  const bodies = new BodyClock(clock, LIMITS);
  const begin = (address = '10.0.0.7') => {
    const seen: { error: HttpError | null; asked: number } = { error: null, asked: 0 };
    const sender = () => {
      seen.asked++;
      return addressSender(address);
    };
    const giveUp = (error: HttpError): void => {
      seen.error = error;
    };
    return { seen, inRead: bodies.start(sender, giveUp) };
  };
  return { clock, bodies, begin };
}

describe('S-15 a request body', () => {
  test('that does not come is given up when its time is over, with what came and what is allowed', async () => {
    const { clock, begin } = started();
    const { seen, inRead } = begin();
    inRead.receivedBytes = 12;
    await clock.advance(19_000);
    expect(seen.error).toBeNull();
    await clock.advance(2_000);
    expect([seen.error?.status, seen.error?.headers]).toEqual([408, { connection: 'close' }]);
    expect(seen.error?.message).toContain('12 bytes in 21.0 s. It has 20 s (SWARMROUTER_BODY_TIMEOUT)');
  });

  test('earns a second with each 16 KiB, however long it takes', async () => {
    const { clock, begin } = started();
    const [steady, slower] = [begin(), begin()];
    for (let second = 0; second < 600; second++) {
      steady.inRead.receivedBytes += 16 * 1024;
      slower.inRead.receivedBytes += 8 * 1024;
      await clock.advance(1_000);
    }
    expect([steady.seen.error, slower.seen.error?.status]).toEqual([null, 408]);
  });

  test('that comes at once costs no look at its sender, and no timer is left', async () => {
    const { clock, bodies, begin } = started();
    const { seen, inRead } = begin();
    bodies.end(inRead);
    await clock.advance(60_000);
    expect(seen).toEqual({ error: null, asked: 0 });
    expect(clock.pendingTimers).toBe(0);
  });

  test('that is slow beside as many slow ones of its sender is refused; others and later ones are not', async () => {
    const { clock, bodies, begin } = started();
    const first = Array.from({ length: 4 }, () => begin());
    const stranger = begin('10.0.0.8');
    await clock.advance(2_000);
    expect(first.map(({ seen }) => seen.error?.status)).toEqual([undefined, undefined, undefined, 429]);
    expect(first[3]?.seen.error?.message).toContain('3 other request bodies of this address');
    expect(stranger.seen.error).toBeNull();
    bodies.end((first[0] as { inRead: BodyInRead }).inRead);
    const later = begin();
    await clock.advance(2_000);
    expect(later.seen.error).toBeNull();
  });

  test('never takes a place for good, in whatever order bodies come and end', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('start' as const), from: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ kind: fc.constant('end' as const), at: fc.nat(20) }),
      fc.record({ kind: fc.constant('bytes' as const), at: fc.nat(20), count: fc.nat(100_000) }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(15_000) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { clock, bodies, begin } = started();
        const all: ReturnType<typeof begin>[] = [];
        for (const one of steps) {
          if (one.kind === 'start') all.push(begin(`10.0.0.${one.from}`));
          else if (one.kind === 'wait') await clock.advance(one.ms);
          else {
            const body = all[one.at % Math.max(1, all.length)];
            if (body === undefined) continue;
            if (one.kind === 'end') bodies.end(body.inRead);
            else body.inRead.receivedBytes += one.count;
          }
        }
        for (const { inRead } of all) bodies.end(inRead);
        const fresh = [0, 1, 2].flatMap((from) => Array.from({ length: 3 }, () => begin(`10.0.0.${from}`)));
        await clock.advance(2_000);
        expect(fresh.map(({ seen }) => seen.error)).toEqual(fresh.map(() => null));
        for (const { inRead } of fresh) bodies.end(inRead);
        await clock.advance(2_000);
        expect(clock.pendingTimers).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
