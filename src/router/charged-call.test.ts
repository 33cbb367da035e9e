import { expect, test } from 'bun:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Cancellation } from '../core/cancellation.ts';
import { UpstreamError } from '../core/failure.ts';
import type { AttemptResult } from './attempt.ts';
import { ChargedCall } from './charged-call.ts';
import { Drains } from './drains.ts';

const limits = { atOnce: 1, mostMs: 1_000, mostBytes: 100 };
const LEFT = new UpstreamError('cancelled', 'the client went away');
const failed = (error: UpstreamError) => ({ kind: 'failed', error, record: null }) as unknown as AttemptResult;

/** A call under way, whose attempt ends when the test says so or when it is cancelled. */
function underWay(drains: Drains, settle: () => Promise<void> | null = () => null) {
  const request = new Cancellation();
  const client = new AbortController();
  const call = new ChargedCall(request, client.signal, drains);
  let end: (result: AttemptResult) => void = () => undefined;
  const attempt = new Promise<AttemptResult>((resolve) => {
    end = resolve;
  });
  call.cancellation.onCancel((cause) => end(failed(cause)));
  const settled: AttemptResult[] = [];
  const result = call.resultOf(attempt, (ended) => {
    settled.push(ended);
    return settle();
  });
  const leave = () => {
    client.abort();
    request.cancel(LEFT);
  };
  return { call, request, result, settled, leave, end: (error: UpstreamError) => end(failed(error)) };
}

test('it goes on when its client leaves, and is settled by its own end', async () => {
  const { call, result, settled, leave, end } = underWay(new Drains(new ManualClock(), limits));
  leave();
  expect(await result).toBe(LEFT);
  expect([call.cancellation.cause, settled]).toEqual([null, []]);
  const own = new UpstreamError('failed', 'it broke later');
  end(own);
  await Promise.resolve();
  await Promise.resolve();
  expect(settled).toEqual([failed(own)]);
});

test('it ends with its client where there is no room to go on', async () => {
  const drains = new Drains(new ManualClock(), limits);
  const first = underWay(drains);
  first.leave();
  await first.result;
  const second = underWay(drains);
  second.leave();
  expect(await second.result).toEqual(failed(LEFT));
  expect(second.settled).toEqual([]);
});

test('it ends when its time is over, and with whatever else ends its request', async () => {
  const clock = new ManualClock();
  const alone = underWay(new Drains(clock, limits));
  alone.leave();
  await alone.result;
  await clock.advance(1_000);
  expect([alone.call.cancellation.cause, alone.settled.length]).toEqual([LEFT, 1]);
  const stopped = underWay(new Drains(clock, limits));
  const shutdown = new UpstreamError('failed', 'the gateway is shutting down');
  stopped.request.cancel(shutdown);
  expect(await stopped.result).toEqual(failed(shutdown));
});

const broken = (): never => {
  throw new Error('no price');
};
test.each([
  ['throws', broken],
  ['rejects', () => Promise.reject(new Error('no price'))],
])('its place is free again and the log says so when what settles it %s', async (_, settle) => {
  const logged: object[] = [];
  const silent = () => undefined;
  const logger = { debug: silent, info: silent, warn: silent, error: (fields: object) => void logged.push(fields) };
  const drains = new Drains(new ManualClock(), limits, logger);
  const first = underWay(drains, settle);
  first.leave();
  await first.result;
  first.end(LEFT);
  await drains.stop();
  await Promise.resolve();
  expect(first.settled.length).toBe(1);
  expect(logged).toEqual([expect.objectContaining({ problem: 'no price' })]);
});

test('it does not begin for a client that has left before', () => {
  const request = new Cancellation();
  request.cancel(LEFT);
  const call = new ChargedCall(request, AbortSignal.abort(), new Drains(new ManualClock(), limits));
  expect(call.cancellation.cause).toBe(LEFT);
});
