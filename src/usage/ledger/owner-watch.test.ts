import { describe, expect, test } from 'bun:test';
import type { LedgerOwner } from '../../core/ledger.ts';
import { OwnerWatch } from './owner-watch.ts';

const owner = (ownerId: string, beat: number, alive = true): LedgerOwner => ({ ownerId, beat, alive, openAttempts: 1 });

describe('a process with open attempts', () => {
  test('is dead when its beat stands still for long enough, and not before', () => {
    const watch = new OwnerWatch(6_000);
    expect(watch.dead([owner('a', 5)], 0)).toEqual([]);
    expect(watch.dead([owner('a', 5)], 5_999)).toEqual([]);
    expect(watch.dead([owner('a', 5)], 6_000)).toEqual(['a']);
  });

  test('lives as long as its beat goes on, however slowly it is looked at', () => {
    const watch = new OwnerWatch(6_000);
    for (let look = 0; look < 10; look++) expect(watch.dead([owner('a', look)], look * 60_000)).toEqual([]);
  });

  test('is dead at once when it says so itself', () => {
    expect(new OwnerWatch(6_000).dead([owner('a', 5, false), owner('b', 1)], 0)).toEqual(['a']);
  });

  test('is seen anew after it had nothing open', () => {
    const watch = new OwnerWatch(6_000);
    watch.dead([owner('a', 5)], 0);
    watch.dead([], 5_000);
    expect(watch.dead([owner('a', 5)], 6_000)).toEqual([]);
  });
});
