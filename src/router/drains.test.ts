import { expect, test } from 'bun:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { StreamReply } from '../core/adapter.ts';
import { Drains, readOn } from './drains.ts';

const limits = { atOnce: 2, mostMs: 1_000, mostBytes: 100 };

test('no more answers are read on at once than allowed, and none for longer', async () => {
  const clock = new ManualClock();
  const drains = new Drains(clock, limits);
  const cancelled: string[] = [];
  const begin = (name: string) => drains.begin(() => cancelled.push(name));
  const first = begin('first');
  expect([begin('second'), begin('third')]).toEqual([expect.anything(), null]);
  first?.end();
  expect(begin('fourth')).not.toBeNull();
  await clock.advance(1_000);
  expect(cancelled).toEqual(['second', 'fourth']);
});

test('when the gateway stops all are cancelled, and waited for until each has ended', async () => {
  const drains = new Drains(new ManualClock(), limits);
  let cancelled = 0;
  const running = [drains.begin(() => cancelled++), drains.begin(() => cancelled++)];
  let stopped = false;
  const stopping = drains.stop().then(() => {
    stopped = true;
  });
  expect(cancelled).toBe(2);
  running[0]?.end();
  await Promise.resolve();
  expect([stopped, drains.begin(() => undefined)]).toEqual([false, null]);
  running[1]?.end();
  await stopping;
  await new Drains(new ManualClock(), limits).stop();
});

test('a stream is read to its end, or until it is too long, and its failure is nobody’s any more', async () => {
  const streamOf = (pieces: number, fails = false) => {
    const seen = { reads: 0, cancelled: false };
    const next = async () => {
      seen.reads++;
      if (seen.cancelled || fails) throw new Error('it broke');
      return seen.reads > pieces ? null : { bytes: new Uint8Array(30), hasContent: true };
    };
    const cancel = () => {
      seen.cancelled = true;
    };
    return { seen, reply: { kind: 'stream', next, cancel, model: '', usage: null, producedTokens: 0 } as StreamReply };
  };
  const short = streamOf(3);
  await readOn(short.reply, 100);
  expect(short.seen).toEqual({ reads: 4, cancelled: false });
  const long = streamOf(1_000);
  await readOn(long.reply, 100);
  expect(long.seen).toEqual({ reads: 5, cancelled: true });
  const broken = streamOf(1, true);
  await readOn(broken.reply, 100, Promise.reject(new Error('the read that was under way')));
  expect(broken.seen.reads).toBe(0);
});
