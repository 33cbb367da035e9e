import { describe, expect, test } from 'bun:test';
import { entryOf, snapshotOf } from '../../test/support/fleet.ts';
import { LESSON } from '../../test/support/lesson.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Cancellation } from '../core/cancellation.ts';
import { UpstreamError } from '../core/failure.ts';
import type { Lease } from './lease.ts';
import { SlotTable } from './load.ts';
import { TargetDirectory, type TargetEntry } from './targets.ts';

function table(queueLimit = 2) {
  const clock = new ManualClock();
  const directory = new TargetDirectory(new Map(), clock);
  return { clock, directory, slots: new SlotTable(clock, directory, queueLimit) };
}

const choice = (entry: TargetEntry, outOfTurn = false) => ({ entry, model: 'm', outOfTurn });
const patience = (timeoutMs: number, deadlineMs = Number.POSITIVE_INFINITY) => ({
  timeoutMs,
  deadlineMs,
  hasOther: false,
  mayReplan: false,
});
const never = new Cancellation();

describe('slots', () => {
  test('are given while there are some, and come back exactly once', () => {
    const { slots } = table();
    const entry = entryOf({ maxConcurrent: 1 });
    const lease = slots.take(choice(entry));
    expect(lease).not.toBeNull();
    expect(slots.take(choice(entry))).toBeNull();
    lease?.release();
    lease?.release();
    expect(entry.inFlight).toBe(0);
    expect(slots.take(choice(entry))).not.toBeNull();
  });

  test('a cloud target has no limit', () => {
    const { slots } = table();
    const entry = entryOf({ kind: 'openrouter' });
    for (let n = 0; n < 1_000; n++) expect(slots.take(choice(entry))).not.toBeNull();
  });
});

describe('the queue', () => {
  test('serves waiters first come first served, at whichever acceptable target frees first', async () => {
    const { clock, slots } = table();
    const a = entryOf({ id: 'a', maxConcurrent: 1 });
    const b = entryOf({ id: 'b', maxConcurrent: 1 });
    const heldA = slots.take(choice(a));
    const heldB = slots.take(choice(b));
    const order: string[] = [];
    const first = slots.wait([choice(a), choice(b)], patience(10_000), never).then((lease) => {
      order.push(`first:${lease?.choice.entry.target.id}`);
      return lease;
    });
    const second = slots
      .wait([choice(a)], patience(10_000), never)
      .then((lease) => order.push(`second:${lease?.choice.entry.target.id}`));
    await clock.advance(500);
    heldB?.release();
    expect((await first)?.queuedMs).toBe(500);
    heldA?.release();
    await second;
    expect(order).toEqual(['first:b', 'second:a']);
    expect([a.queued, b.queued]).toEqual([0, 0]);
  });

  test('gives up after its time, leaving nothing behind', async () => {
    const { clock, slots } = table();
    const entry = entryOf({ maxConcurrent: 1 });
    const held = slots.take(choice(entry));
    const waiting = slots.wait([choice(entry)], patience(1_000), never).catch((error: UpstreamError) => error);
    await clock.advance(1_000);
    const error = await waiting;
    expect(error).toBeInstanceOf(UpstreamError);
    expect([(error as UpstreamError).kind, entry.queued, clock.pendingTimers]).toEqual(['overloaded', 0, 0]);
    held?.release();
    expect(entry.inFlight).toBe(0);
  });

  test('refuses at once beyond its limit', async () => {
    const { slots } = table(1);
    const entry = entryOf({ maxConcurrent: 1 });
    slots.take(choice(entry));
    void slots.wait([choice(entry)], patience(1_000), never).catch(() => null);
    await expect(slots.wait([choice(entry)], patience(1_000), never)).rejects.toMatchObject({
      kind: 'overloaded',
      retryAfterMs: 1_000,
    });
  });

  test('who waits only as long as it is worth it is let go when no slot frees and the wait gets worse', async () => {
    const { clock, directory, slots } = table();
    const entry = entryOf({ maxConcurrent: 1 });
    const held = slots.take(choice(entry)) as Lease;
    directory.answering(held.call, 0);
    const brief = { ...patience(60_000), hasOther: true, worthUntilMs: clock.nowMs() + 60_000 };
    let ended = '';
    void slots.wait([choice(entry)], brief, never).catch((error: UpstreamError) => {
      ended = error.message;
    });
    await clock.advance(1_000);
    expect(ended).toBe('');
    // Others who came before: their answers are written before any of this one.
    entry.queued += 1_000;
    for (let step = 0; step < 240 && ended === ''; step++) await clock.advance(250);
    entry.queued -= 1_000;
    expect([ended, entry.queued]).toEqual(['the wait for a slot has become longer than it is worth', 0]);
    expect(clock.nowMs()).toBeLessThan(60_000);
    held.release();
  });

  test('a client that leaves the queue never takes a slot', async () => {
    const { clock, slots } = table();
    const entry = entryOf({ maxConcurrent: 1 });
    const held = slots.take(choice(entry));
    const client = new Cancellation();
    const waiting = slots.wait([choice(entry)], patience(1_000), client).catch((error: UpstreamError) => error.kind);
    client.cancel(new UpstreamError('cancelled', 'gone'));
    expect((await waiting) as string).toBe('cancelled');
    held?.release();
    expect([entry.inFlight, entry.queued, clock.pendingTimers]).toEqual([0, 0, 0]);
  });

  test('a slot that is free already is given at once, wherever it is', async () => {
    const { slots } = table();
    const [a, b] = [entryOf({ id: 'a', maxConcurrent: 1 }), entryOf({ id: 'b', maxConcurrent: 1 })];
    slots.take(choice(a));
    const lease = await slots.wait([choice(a), choice(b)], patience(1_000), never);
    expect([lease?.choice.entry.target.id, lease?.queuedMs]).toEqual(['b', 0]);
  });

  test('ends at once when every server that was waited for has gone down', async () => {
    const { clock, directory, slots } = table();
    const entry = entryOf({ maxConcurrent: 1 });
    slots.take(choice(entry));
    const waiting = slots.wait([choice(entry)], patience(60_000), never).catch((error: UpstreamError) => error.kind);
    directory.probeFailed(entry, new UpstreamError('unreachable', 'refused'));
    expect((await waiting) as string).toBe('unreachable');
    await clock.advance(0);
    expect([entry.queued, clock.pendingTimers]).toEqual([0, 0]);
  });

  test('lets go of many a few at a time, so that their new plans hold up nobody, and serves who is still there when a server is back', async () => {
    const { clock, directory, slots } = table(200);
    const entry = entryOf({ maxConcurrent: 1 });
    const held = slots.take(choice(entry)) as Lease;
    let [refused, served] = [0, 0];
    const leave = (): void => void refused++;
    for (let n = 0; n < 100; n++) {
      void slots.wait([choice(entry)], patience(60_000), never).then(() => served++, leave);
    }
    const sizes: number[] = [];
    const after = clock.after.bind(clock);
    clock.after = (delayMs, run) =>
      after(delayMs, () => {
        sizes.push(refused);
        run();
      });
    directory.probeFailed(entry, new UpstreamError('unreachable', 'refused'));
    held.release();
    await clock.advance(0);
    expect([refused, served, entry.queued]).toEqual([100, 0, 0]);
    const steps = sizes.map((size, at) => size - (sizes[at - 1] ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(8);
  });

  test('serves at once when a probe shows more slots than before', async () => {
    const { directory, slots } = table();
    const entry = entryOf({ models: [{ id: 'm', slots: 1 }] });
    slots.take(choice(entry));
    const waiting = slots.wait([choice(entry)], patience(60_000), never);
    directory.probed(entry, snapshotOf({ models: [{ id: 'm', slots: 4 }] }));
    expect((await waiting)?.choice.entry).toBe(entry);
  });

  test('lets one alone through while it is not known whether the target works again', async () => {
    const { clock, directory, slots } = table(8);
    const entry = entryOf({ maxConcurrent: 3 });
    const running = [1, 2, 3].map(() => slots.take(choice(entry)));
    let served = 0;
    for (let n = 0; n < 3; n++) void slots.wait([choice(entry)], patience(60_000), never).then(() => served++);
    entry.breaker = { name: 'half-open', trialRunning: false, failedTrials: 0 };
    for (const lease of running) lease?.release();
    await clock.advance(0);
    expect(served).toBe(1);
    directory.probed(entry, entry.snapshot as never);
    await clock.advance(0);
    expect(served).toBe(1);
  });

  test('is bounded for each target: one that is full does not keep others from being waited for', async () => {
    const { slots } = table(1);
    const [a, b] = [entryOf({ id: 'a', maxConcurrent: 1 }), entryOf({ id: 'b', maxConcurrent: 1 })];
    for (const entry of [a, b]) slots.take(choice(entry));
    void slots.wait([choice(a)], patience(1_000), never).catch(() => null);
    void slots.wait([choice(b)], patience(1_000), never).catch(() => null);
    expect([a.queued, b.queued]).toEqual([1, 1]);
    await expect(slots.wait([choice(a), choice(b)], patience(1_000), never)).rejects.toMatchObject({
      kind: 'overloaded',
    });
  });

  test('refuses at once whoever could not be served before its deadline, and says when to come back', async () => {
    const { clock, slots } = table(100);
    const entry = entryOf({ maxConcurrent: 1 });
    for (let n = 0; n < 5; n++) {
      const lease = slots.take(choice(entry));
      await clock.advance(2_000);
      lease?.release();
    }
    slots.take(choice(entry));
    const waiting = (limit: ReturnType<typeof patience>) =>
      slots.wait([choice(entry)], limit, never).catch((error: UpstreamError) => error);
    // Every request takes 2 s: the first in the queue waits about 1 s, the third about 5 s.
    void waiting(patience(60_000));
    void waiting(patience(60_000));
    const late = await waiting(patience(60_000, clock.nowMs() + 3_000));
    expect(late).toMatchObject({ kind: 'overloaded', retryAfterMs: 2_000 });
    expect(entry.queued).toBe(2);
    void waiting(patience(60_000, clock.nowMs() + 6_000));
    expect(entry.queued).toBe(3);
  });

  test('keeps a slot counted for a while when its server goes on with a cancelled prompt', async () => {
    const { clock, slots } = table();
    const entry = entryOf({ maxConcurrent: 1 });
    slots.take(choice(entry))?.release(2_000);
    expect([entry.inFlight, slots.take(choice(entry))]).toEqual([0, null]);
    const waiting = slots.wait([choice(entry)], patience(10_000), never);
    await clock.advance(2_000);
    expect((await waiting)?.queuedMs).toBe(2_000);
  });

  test('holds back a target on its ramp to what the ramp allows', async () => {
    const { slots } = table();
    const entry = entryOf({ kind: 'openrouter' });
    entry.breaker = { name: 'ramping', limit: 2, failedTrials: 0 };
    expect([1, 2, 3].map(() => slots.take(choice(entry)) !== null)).toEqual([true, true, false]);
  });

  test('while a model loads one request a probe asks, however many wait, and then all are served', async () => {
    const { clock, directory, slots } = table(256);
    const entry = entryOf({ kind: 'llama-cpp', maxConcurrent: 300 });
    const snapshot = entry.snapshot as NonNullable<typeof entry.snapshot>;
    entry.breaker = { name: 'warming', trialEarned: false, trialRunning: false };
    const served: Lease[] = [];
    for (let n = 0; n < 200; n++) {
      void slots.wait([choice(entry)], patience(180_000), never).then((lease) => served.push(lease as Lease));
    }
    for (let second = 1; second <= 20; second++) {
      directory.probed(entry, snapshot);
      await clock.advance(1_000);
      expect(served.length).toBe(second);
      const trial = served.at(-1) as Lease;
      directory.failed(trial.call, new UpstreamError('modelLoading', 'loading model'));
      trial.release();
    }
    directory.probed(entry, snapshot);
    await clock.advance(0);
    directory.answering((served.at(-1) as Lease).call, 5);
    await clock.advance(0);
    expect(served.length).toBe(200);
  });

  test('an answer that had begun before does not end the wait for a model that loads', () => {
    const { directory, slots } = table();
    const entry = entryOf({ maxConcurrent: 4 });
    const [older, told] = [slots.take(choice(entry)) as Lease, slots.take(choice(entry)) as Lease];
    directory.failed(told.call, new UpstreamError('modelLoading', 'loading model'));
    directory.answering(older.call, 5);
    directory.finished(older.call, 10);
    expect(entry.breaker.name).toBe('warming');
  });

  test('predicts the wait for whichever of several targets frees first, and counts a waiter once', async () => {
    const { clock, slots } = table(2);
    const nodes = ['a', 'b', 'c'].map((id) => entryOf({ id, maxConcurrent: 1 }));
    for (const node of nodes) {
      for (let n = 0; n < 5; n++) node.holdTime.record(10_000);
      slots.take(choice(node));
    }
    const choices = nodes.map((node) => choice(node));
    // A slot frees about every 3.3 s: the sixth waits some 18 s, and three targets hold twice three waiters.
    const waits = Array.from({ length: 6 }, () => slots.wait(choices, patience(30_000), never).catch(() => 'refused'));
    await clock.advance(0);
    expect(nodes.map(({ queued }) => queued)).toEqual([6, 6, 6]);
    await expect(slots.wait(choices, patience(30_000), never)).rejects.toMatchObject({ kind: 'overloaded' });
    await clock.advance(30_000);
    expect(await Promise.all(waits)).toEqual(Array.from({ length: 6 }, () => 'refused'));
    expect(nodes.map(({ queuedShare }) => Math.round(queuedShare))).toEqual([0, 0, 0]);
  });

  test('never takes a slot of a target that has gone down, and says at once when all have', async () => {
    const { slots } = table();
    const entry = entryOf({ maxConcurrent: 1 });
    entry.breaker = { name: 'open', trialAtMs: 0, failedTrials: 0 };
    expect(slots.take(choice(entry))).toBeNull();
    await expect(slots.wait([choice(entry)], patience(60_000), never)).rejects.toMatchObject({ kind: 'unreachable' });
    expect(slots.take(choice(entry, true))).not.toBeNull();
  });

  test('tells those who may make another plan when another server comes back', async () => {
    const { directory, slots } = table();
    const [full, other] = [entryOf({ id: 'full', maxConcurrent: 1 }), entryOf({ id: 'other' })];
    slots.take(choice(full));
    other.breaker = { name: 'open', trialAtMs: 0, failedTrials: 0 };
    const patient = slots.wait([choice(full)], patience(60_000), never);
    const mobile = slots.wait([choice(full)], { ...patience(60_000), mayReplan: true }, never);
    directory.probed(other, other.snapshot as never);
    expect(await mobile).toBeNull();
    expect(full.queued).toBe(1);
    void patient.catch(() => null);
  });
});

describe('a server that does not say how many answers it writes at once', () => {
  /** Its one slot is taken, its answer being written, its model measured. */
  async function measured() {
    const { clock, directory, slots } = table(8);
    const entry = entryOf({ models: ['m'] });
    for (const promptTokens of [500, 1_000, 2_000]) {
      entry.openMeter('m').learn({ ...LESSON, promptTokens, promptBytes: promptTokens * 4 });
    }
    const held: Lease[] = [];
    for (let lease = slots.take(choice(entry)); lease !== null; lease = slots.take(choice(entry))) held.push(lease);
    const served: string[] = [];
    const ask = (name: string) =>
      void slots.wait([choice(entry)], patience(60_000), never).then((lease) => {
        served.push(name);
        held.push(lease as Lease);
      });
    return { clock, directory, entry, held, served, ask };
  }

  test('is given one more when all are being answered, and who waits longest is the one', async () => {
    const { clock, directory, held, served, ask } = await measured();
    ask('first');
    ask('second');
    await clock.advance(0);
    expect(served).toEqual([]);
    for (const lease of [...held]) directory.answering(lease.call, 5);
    await clock.advance(0);
    expect(served).toEqual(['first']);
    // Nobody passes who waits.
    ask('third');
    await clock.advance(0);
    directory.answering((held.at(-1) as Lease).call, 5);
    await clock.advance(0);
    expect(served).toEqual(['first', 'second']);
  });
});

describe('a load that goes on after its request was given up', () => {
  const disk = {
    models: [
      { id: 'a', state: 'on-disk' as const },
      { id: 'b', state: 'on-disk' as const },
    ],
  };
  const of = (entry: TargetEntry, model: string) => ({ entry, model, outOfTurn: false });

  test.each(['cancelled', 'timeout'] as const)('%s: no other is begun before it is over', async (kind) => {
    const { clock, directory, slots } = table(8);
    const entry = entryOf(disk);
    const loading = slots.take(of(entry, 'a')) as Lease;
    await clock.advance(1_000);
    if (kind === 'cancelled') directory.givenUp(loading.call);
    else directory.failed(loading.call, new UpstreamError('timeout', 'no token in time'));
    loading.release();
    expect([slots.take(of(entry, 'a')), slots.take(of(entry, 'b'))]).toEqual([null, null]);
    const waiting = slots.wait([of(entry, 'b')], patience(60_000), never);
    await clock.advance(3_900);
    expect(entry.queued).toBe(1);
    await clock.advance(200);
    expect((await waiting)?.choice.model).toBe('b');
  });

  test('it is over as soon as a probe finds the model loaded', async () => {
    const { directory, slots } = table(8);
    const entry = entryOf(disk);
    const loading = slots.take(of(entry, 'a')) as Lease;
    directory.givenUp(loading.call);
    loading.release();
    directory.probed(entry, snapshotOf({ models: [{ id: 'a' }, { id: 'b', state: 'on-disk' }] }));
    expect(slots.take(of(entry, 'a'))).not.toBeNull();
  });

  test('a server that drops a load with its client says so itself', async () => {
    const { directory, slots } = table(8);
    const entry = entryOf({ ...disk, kind: 'ollama' });
    const loading = slots.take(of(entry, 'a')) as Lease;
    directory.givenUp(loading.call);
    loading.release();
    directory.probed(entry, snapshotOf(disk));
    expect(slots.take(of(entry, 'b'))).not.toBeNull();
  });
});

test('a second request for a model that is being loaded does not stop the one at work beside it', async () => {
  const { clock, slots } = table(8);
  const entry = entryOf({ kind: 'ollama', models: ['a', { id: 'b', state: 'on-disk' }], maxConcurrent: 8 });
  const of = (model: string) => ({ entry, model, outOfTurn: false });
  expect(slots.take(of('a'))).not.toBeNull();
  expect(slots.take(of('b'))).not.toBeNull();
  void slots.wait([of('b')], patience(60_000), never).catch(() => null);
  await clock.advance(5_000);
  expect(slots.take(of('a'))).not.toBeNull();
});

test('a load that may go on unseen holds up further loads, and no request for a model in memory', () => {
  const { directory, slots } = table(8);
  const entry = entryOf({ models: ['a', { id: 'b', state: 'on-disk' }, { id: 'c', state: 'on-disk' }] });
  const of = (model: string) => ({ entry, model, outOfTurn: false });
  const loading = slots.take(of('b')) as Lease;
  directory.givenUp(loading.call);
  loading.release();
  expect([slots.take(of('a')) !== null, slots.take(of('c'))]).toEqual([true, null]);
});

test('a call that was never made loads nothing, and is no call of its target', () => {
  const { directory, slots } = table(8);
  const entry = entryOf({
    models: [
      { id: 'b', state: 'on-disk' },
      { id: 'c', state: 'on-disk' },
    ],
  });
  const loading = slots.take({ entry, model: 'b', outOfTurn: false }) as Lease;
  directory.givenUp(loading.call, false);
  loading.release();
  expect(entry.stats.read().requests).toBe(0);
  expect(slots.take({ entry, model: 'c', outOfTurn: false })).not.toBeNull();
});
