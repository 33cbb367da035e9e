import { afterEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../test/support/gateway.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { watchFiles } from './watch-files.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function watched() {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-watch-'));
  folders.push(folder);
  const at = (name: string) => join(folder, name);
  const path = at('swarmrouter.yaml');
  const paths = [path, at('.env')];
  const clock = new ManualClock();
  const seen = { changes: 0 };
  writeFileSync(path, 'a: 1');
  const watch = watchFiles(
    () => paths,
    clock,
    () => seen.changes++,
  );
  /** One look after the other; each ends with the timer of the next. */
  const looks = async (count: number): Promise<void> => {
    for (let look = 0; look < count; look++) {
      await clock.advance(1_000);
      await until('the look has ended', () => clock.pendingTimers === 1);
    }
  };
  return { at, path, paths, clock, seen, watch, looks };
}

describe('watched files', () => {
  test('are told of once when one has changed and then stays as it is', async () => {
    const { path, seen, looks } = watched();
    await looks(5);
    expect(seen.changes).toBe(0);
    writeFileSync(path, 'a: 22');
    await looks(1);
    writeFileSync(path, 'a: 333');
    await looks(1);
    expect(seen.changes).toBe(0);
    await looks(10);
    expect(seen.changes).toBe(1);
  });

  test('are told of when an editor puts another file in the place, when one goes, and when one comes', async () => {
    const { at, path, seen, looks } = watched();
    writeFileSync(at('new'), 'a: 1');
    renameSync(at('new'), path);
    await looks(3);
    rmSync(path);
    await looks(3);
    writeFileSync(at('.env'), 'A=1');
    await looks(3);
    expect(seen.changes).toBe(3);
  });

  test('are not told of again when somebody else has read them since, but when they change after that', async () => {
    const { path, seen, watch, looks } = watched();
    writeFileSync(path, 'a: 22');
    expect(watch.reading(() => 'result')).toBe('result');
    await looks(4);
    expect(seen.changes).toBe(0);
    watch.reading(() => writeFileSync(path, 'a: 333, while it was read'));
    await looks(4);
    expect(seen.changes).toBe(1);
  });

  test('are not told of again when they were read while a look at them was on its way', async () => {
    const { path, clock, seen, watch, looks } = watched();
    await looks(2);
    await clock.advance(1_000);
    writeFileSync(path, 'a: 22');
    watch.reading(() => undefined);
    await until('the look has ended', () => clock.pendingTimers === 1);
    await looks(3);
    expect(seen.changes).toBe(0);
  });

  test('may become others with what is read', async () => {
    const { at, paths, seen, watch, looks } = watched();
    writeFileSync(at('other.yaml'), 'a: 1');
    watch.reading(() => paths.splice(0, 1, at('other.yaml')));
    await looks(3);
    expect(seen.changes).toBe(0);
    writeFileSync(at('other.yaml'), 'a: 22');
    await looks(3);
    expect(seen.changes).toBe(1);
  });

  test('leave no timer once nobody watches', async () => {
    const { clock, watch, looks } = watched();
    await looks(2);
    watch.stop();
    expect(clock.pendingTimers).toBe(0);
  });
});
