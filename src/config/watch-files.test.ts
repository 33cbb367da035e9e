import { afterEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { watchFiles } from './watch-files.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function watched() {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-watch-'));
  folders.push(folder);
  const path = join(folder, 'swarmrouter.yaml');
  const clock = new ManualClock();
  const seen = { changes: 0 };
  writeFileSync(path, 'a: 1');
  const stop = watchFiles([path, join(folder, '.env')], clock, () => seen.changes++);
  return { folder, path, clock, seen, stop };
}

describe('watched files', () => {
  test('are told of once when one has changed and then stays as it is', async () => {
    const { path, clock, seen } = watched();
    await clock.advance(5_000);
    expect(seen.changes).toBe(0);
    writeFileSync(path, 'a: 22');
    await clock.advance(1_000);
    writeFileSync(path, 'a: 333');
    await clock.advance(1_000);
    expect(seen.changes).toBe(0);
    await clock.advance(10_000);
    expect(seen.changes).toBe(1);
  });

  test('are told of when an editor puts another file in the place, when one goes, and when one comes', async () => {
    const { folder, path, clock, seen } = watched();
    writeFileSync(join(folder, 'new'), 'a: 1');
    renameSync(join(folder, 'new'), path);
    await clock.advance(3_000);
    rmSync(path);
    await clock.advance(3_000);
    writeFileSync(join(folder, '.env'), 'A=1');
    await clock.advance(3_000);
    expect(seen.changes).toBe(3);
  });

  test('leave no timer once nobody watches', async () => {
    const { clock, stop } = watched();
    await clock.advance(2_500);
    stop();
    expect(clock.pendingTimers).toBe(0);
  });
});
