import { expect, test } from 'bun:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { ChangeEnds, StoreChange } from '../core/store-changes.ts';
import { ChangeFollower } from './change-follower.ts';

const entry = (subject: string): StoreChange => ({ action: 'key.update', subject });

/** A record of changes in memory, and what was followed of it. */
function followed() {
  const log: StoreChange[] = [];
  const seen: (readonly string[] | 'everything')[] = [];
  const said: string[] = [];
  const fault: { store: Error | null; follow: Error | null } = { store: null, follow: null };
  const note = (_fields: object, message: string): void => void said.push(message);
  const clock = new ManualClock();
  const end = (ends: ChangeEnds): number => ends.get('default') ?? 0;
  const follower = new ChangeFollower({
    changes: {
      ends: async () => {
        if (fault.store !== null) throw fault.store;
        return new Map([['default', log.length]]);
      },
      between: async (from, to, most) => {
        const found = log.slice(end(from), end(to));
        return found.length > most ? null : found;
      },
    },
    from: new Map(),
    clock,
    logger: { debug: note, info: note, warn: note, error: note },
    follow: async (changes) => {
      if (fault.follow !== null) throw fault.follow;
      seen.push(changes === null ? 'everything' : changes.map(({ subject }) => subject));
    },
  });
  return { log, seen, said, fault, clock, follower };
}

test('what others change is followed once, within two seconds', async () => {
  const { log, seen, clock, follower } = followed();
  follower.start();
  log.push(entry('key:1'), entry('key:2'));
  await clock.advance(2_000);
  expect(seen).toEqual([['key:1', 'key:2']]);
  await clock.advance(10_000);
  log.push(entry('key:1'));
  await clock.advance(2_000);
  expect(seen).toEqual([['key:1', 'key:2'], ['key:1']]);
  await follower.stop();
});

test('more changes than are worth naming are followed as everything', async () => {
  const { log, seen, follower } = followed();
  log.push(...Array.from({ length: 501 }, (_, index) => entry(`key:${index}`)));
  await follower.ask();
  expect(seen).toEqual(['everything']);
});

test('a store that is gone is told of once, and what was missed is followed when it is back', async () => {
  const { log, seen, said, fault, clock, follower } = followed();
  follower.start();
  fault.store = new Error('no connection');
  await clock.advance(60_000);
  log.push(entry('key:1'));
  expect([seen, said.length]).toEqual([[], 1]);
  fault.store = null;
  await clock.advance(2_000);
  expect(seen).toEqual([['key:1']]);
  expect(said[1]).toContain('read again');
  await follower.stop();
});

test('what could not be put in force is tried again', async () => {
  const { log, seen, fault, clock, follower } = followed();
  follower.start();
  log.push(entry('key:1'));
  fault.follow = new Error('not now');
  await clock.advance(5_000);
  fault.follow = null;
  await clock.advance(2_000);
  expect(seen).toEqual([['key:1']]);
  await follower.stop();
});

test('when it is stopped it leaves no timer', async () => {
  const { clock, follower } = followed();
  follower.start();
  await clock.advance(3_500);
  await follower.stop();
  await clock.advance(5_000);
  expect(clock.pendingTimers).toBe(0);
});
