import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { HeldLock } from '../../core/file-lock.ts';
import { sqliteFileLocks } from './file-locks.ts';
import { holdFolder } from './folder-lock.ts';

let folder: string;
let clock: ManualClock;
const held: (HeldLock | null)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmrouter-folder-'));
  clock = new ManualClock();
});
afterEach(async () => {
  for (const lock of held.splice(0)) lock?.release();
  await rm(folder, { recursive: true, force: true });
});

/** A gateway that starts on the folder. */
function starts() {
  const warnings: string[] = [];
  const nothing = () => undefined;
  const warn = (_: object, message: string): void => void warnings.push(message);
  const lock = holdFolder(folder, sqliteFileLocks, clock, { debug: nothing, info: nothing, error: nothing, warn });
  held.push(lock);
  return { warned: warnings.length === 1, end: () => lock?.release() };
}

describe('a data folder that several gateways use', () => {
  test('is held by the second when the first has ended, so that the third is warned', async () => {
    const first = starts();
    const second = starts();
    expect([first.warned, second.warned]).toEqual([false, true]);
    await clock.advance(20_000);
    first.end();
    await clock.advance(5_000);
    expect(clock.pendingTimers).toBe(0);
    expect(starts().warned).toBe(true);
    second.end();
    await clock.advance(5_000);
    // The third has it now.
    expect(starts().warned).toBe(true);
  });

  test('is left by one that ends while it waits for it', async () => {
    const first = starts();
    starts().end();
    expect(clock.pendingTimers).toBe(0);
    first.end();
    await clock.advance(60_000);
    expect(existsSync(join(folder, 'in-use.lock'))).toBe(false);
    expect(starts().warned).toBe(false);
  });
});
