import { describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { BatchedOutput, type LineWriter, openLineOutput } from './line-output.ts';

type Done = (error: Error | null, writtenBytes: number) => void;

/** A descriptor whose writes end when the test says so. */
function heldWriter() {
  const held: { bytes: Uint8Array; done: Done }[] = [];
  const taken: Buffer[] = [];
  const take = (bytes: Uint8Array) => void taken.push(Buffer.from(bytes));
  const writer: LineWriter = {
    write: (bytes, done) => void held.push({ bytes, done }),
    writeNow(bytes) {
      take(bytes);
      return bytes.length;
    },
  };
  const next = () => {
    const call = held.shift();
    if (call === undefined) throw new Error('no write is under way');
    return call;
  };
  return {
    writer,
    underWay: () => held.length,
    text: () => Buffer.concat(taken).toString(),
    finish(atMostBytes = Number.POSITIVE_INFINITY) {
      const { bytes, done } = next();
      const part = bytes.subarray(0, atMostBytes);
      take(part);
      done(null, part.length);
    },
    fail: (code: string) => next().done(Object.assign(new Error(code), { code }), 0),
  };
}

function heldTimers() {
  let waiting: { delayMs: number; run: () => void }[] = [];
  return {
    delays: () => waiting.map(({ delayMs }) => delayMs),
    clock: {
      after(delayMs: number, run: () => void) {
        const timer = { delayMs, run };
        waiting.push(timer);
        return () => {
          waiting = waiting.filter((each) => each !== timer);
        };
      },
    },
    runAll() {
      const due = waiting;
      waiting = [];
      for (const { run } of due) run();
    },
  };
}

function heldOutput() {
  const descriptor = heldWriter();
  const timers = heldTimers();
  return { descriptor, timers, output: new BatchedOutput(descriptor.writer, timers.clock) };
}

describe('lines', () => {
  test('leave whole and in order, whatever the descriptor does to each write', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('line' as const), text: fc.string({ unit: 'grapheme', maxLength: 40 }) }),
      fc.record({ kind: fc.constant('part' as const), bytes: fc.integer({ min: 1, max: 30 }) }),
      fc.record({ kind: fc.constant('fault' as const), code: fc.constantFrom('EAGAIN', 'ENOSPC', 'EIO') }),
      fc.record({ kind: fc.constant('timers' as const) }),
      fc.record({ kind: fc.constant('flush' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { descriptor, timers, output } = heldOutput();
        let expected = '';
        for (const step of steps) {
          if (step.kind === 'line') {
            output.write(`${step.text}\n`);
            expected += `${step.text}\n`;
          } else if (step.kind === 'timers') timers.runAll();
          else if (step.kind === 'flush') void output.flush();
          else if (descriptor.underWay() === 0) continue;
          else if (step.kind === 'part') descriptor.finish(step.bytes);
          else descriptor.fail(step.code);
          expect(descriptor.underWay()).toBeLessThanOrEqual(1);
        }
        while (descriptor.underWay() > 0 || timers.delays().length > 0) {
          while (descriptor.underWay() > 0) descriptor.finish();
          timers.runAll();
        }
        expect(descriptor.text()).toBe(Buffer.from(expected).toString());
      }),
    );
  });

  test('leave together, before their time when there are 64 KiB of them', () => {
    const { descriptor, timers, output } = heldOutput();
    output.write(`${'a'.repeat(60_000)}\n`);
    expect(descriptor.underWay()).toBe(0);
    expect(timers.delays()).toEqual([100]);
    output.write(`${'b'.repeat(10_000)}\n`);
    expect(descriptor.underWay()).toBe(1);
    descriptor.finish();
    expect(descriptor.text().length).toBe(70_002);
    expect(descriptor.underWay()).toBe(0);
  });

  test('are tried again after 10 ms when the descriptor is full, after a second when the disk is', () => {
    const { descriptor, timers, output } = heldOutput();
    output.write('one\n');
    timers.runAll();
    descriptor.fail('EAGAIN');
    expect(timers.delays()).toEqual([10]);
    timers.runAll();
    descriptor.fail('ENOSPC');
    expect(timers.delays()).toEqual([1000]);
    timers.runAll();
    descriptor.finish();
    expect(descriptor.text()).toBe('one\n');
  });

  test('beyond 16 MiB are dropped and counted, which is told when half of the room is free again', () => {
    const { descriptor, output } = heldOutput();
    const line = `${'x'.repeat(1024 * 1024 - 1)}\n`;
    for (let at = 0; at < 20; at++) output.write(line);
    expect(output.takeDropped()).toBe(0);
    for (let at = 0; at < 7; at++) descriptor.finish();
    expect(output.takeDropped()).toBe(0);
    descriptor.finish();
    expect(output.takeDropped()).toBe(4);
    expect(output.takeDropped()).toBe(0);
    while (descriptor.underWay() > 0) descriptor.finish();
    expect(descriptor.text().length).toBe(16 * 1024 * 1024);
  });

  test('are forgotten when their reader is gone, and a flush does not wait for them', async () => {
    const { descriptor, timers, output } = heldOutput();
    output.write('one\n');
    const flushed = output.flush();
    descriptor.fail('EPIPE');
    await flushed;
    output.write('two\n');
    output.flushNow();
    await output.flush();
    expect(timers.delays()).not.toContain(10);
    expect(descriptor.underWay()).toBe(0);
    expect(descriptor.text()).toBe('');
  });
});

describe('a flush', () => {
  test('waits for what was written before it, not for what comes later', async () => {
    const { descriptor, timers, output } = heldOutput();
    output.write('one\n');
    let done = false;
    const flushed = output.flush().then(() => {
      done = true;
    });
    output.write('two\n');
    await Promise.resolve();
    expect(done).toBe(false);
    descriptor.finish();
    await flushed;
    expect(descriptor.text()).toBe('one\n');
    expect(timers.delays()).not.toContain(1000);
  });

  test('gives up after a second', async () => {
    const { descriptor, timers, output } = heldOutput();
    output.write('one\n');
    const flushed = output.flush();
    timers.runAll();
    await flushed;
    expect(descriptor.underWay()).toBe(1);
  });

  test('of the last moment goes on where a partial write ended', () => {
    const { descriptor, timers, output } = heldOutput();
    output.write('first\n');
    timers.runAll();
    descriptor.finish(2);
    descriptor.fail('EAGAIN');
    output.write('second\n');
    output.flushNow();
    expect(descriptor.text()).toBe('first\nsecond\n');
    timers.runAll();
    expect(descriptor.underWay()).toBe(0);
  });
});

describe('the buffered output', () => {
  test('is written 100 ms after the first line, and holds no timer when idle', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'swarmrouter-log-'));
    try {
      const path = join(folder, 'log');
      const timers: { delayMs: number; run: () => void }[] = [];
      const output = openLineOutput(path, {
        after(delayMs, run) {
          timers.push({ delayMs, run });
          return () => undefined;
        },
      });
      expect(timers).toEqual([]);
      output.write('one\n');
      output.write('two\n');
      expect(timers.map(({ delayMs }) => delayMs)).toEqual([100]);
      timers[0]?.run();
      await output.flush();
      expect(await Bun.file(path).text()).toBe('one\ntwo\n');
      output.write('three\n');
      expect(timers.map(({ delayMs }) => delayMs)).toEqual([100, 1000, 100]);
      output.flushNow();
      expect(await Bun.file(path).text()).toBe('one\ntwo\nthree\n');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('loses no line of a process that exits at once, also through a pipe', async () => {
    const program = `
      const { openLineOutput } = await import(${JSON.stringify(join(import.meta.dir, 'line-output.ts'))});
      const output = openLineOutput(1, { after(ms, run) { const t = setTimeout(run, ms); return () => clearTimeout(t); } });
      for (let at = 0; at < 20000; at++) output.write('line ' + at + '\\n');
      process.exit(0);`;
    const child = Bun.spawn([process.execPath, '-e', program], { stdout: 'pipe' });
    const lines = (await new Response(child.stdout).text()).trimEnd().split('\n');
    expect(await child.exited).toBe(0);
    expect(lines).toEqual(Array.from({ length: 20000 }, (_, at) => `line ${at}`));
  });

  test('does not stop the process when its reader is gone', async () => {
    const program = `
      const { openLineOutput } = await import(${JSON.stringify(join(import.meta.dir, 'line-output.ts'))});
      const output = openLineOutput(1, { after(ms, run) { const t = setTimeout(run, ms); return () => clearTimeout(t); } });
      for (let at = 0; at < 20; at++) { output.write('x'.repeat(20000) + '\\n'); await Bun.sleep(5); }
      await output.flush();
      console.error('alive');
      process.exit(0);`;
    const child = Bun.spawn(['sh', '-c', `"$0" -e "$1" | true`, process.execPath, program], { stderr: 'pipe' });
    expect(await new Response(child.stderr).text()).toBe('alive\n');
  });

  test('lets the process end although its reader has stopped reading', async () => {
    const program = `
      const { openLineOutput } = await import(${JSON.stringify(join(import.meta.dir, 'line-output.ts'))});
      const output = openLineOutput(1, { after(ms, run) { const t = setTimeout(run, ms); return () => clearTimeout(t); } });
      for (let at = 0; at < 20; at++) output.write('x'.repeat(65536) + '\\n');
      await output.flush();
      await Bun.sleep(50);
      process.exit(0);`;
    const pipeline = '{ "$0" -e "$1"; echo "ended $?" >&2; } | { sleep 3; echo "reader ended" >&2; }';
    const child = Bun.spawn(['sh', '-c', pipeline, process.execPath, program], { stderr: 'pipe' });
    const told = await new Response(child.stderr).text();
    expect(told).toBe('ended 0\nreader ended\n');
  }, 15_000);
});
