import { describe, expect, test } from 'bun:test';
import { FAULT_KINDS } from '../simulators/index.ts';
import { DISTURBANCES, disturbanceAt } from './disturbances.ts';
import { askedRestMs, faultOf, isClientsMistake, isHarmless, isOverflow, told } from './faults.ts';
import { canariesIn, canaryOf, expectedText, requestPlan } from './schedule.ts';
import { SERVERS } from './servers.ts';

const MANY = 40_000;
const faults = Array.from({ length: MANY }, (_, number) => faultOf(3, number, 'a', 0.25));
const plans = Array.from({ length: 4_000 }, (_, number) => requestPlan(3, number));
const disturbances = Array.from({ length: 400 }, (_, index) => disturbanceAt(3, index, SERVERS));

describe('the schedule of the chaos run', () => {
  test('is the same for the same seed and another for another', () => {
    const faultsOf = (seed: number) => Array.from({ length: 200 }, (_, number) => faultOf(seed, number, 'a', 0.25));
    expect(faultsOf(1)).toEqual(faultsOf(1));
    expect(faultsOf(1)).not.toEqual(faultsOf(2));
    expect(requestPlan(1, 5)).toEqual(requestPlan(1, 5));
    expect(requestPlan(1, 5)).not.toEqual(requestPlan(1, 6));
    expect(disturbanceAt(1, 5, SERVERS)).toEqual(disturbanceAt(1, 5, SERVERS));
  });

  test('gives two servers different faults for the same request', () => {
    const other = Array.from({ length: MANY }, (_, number) => faultOf(3, number, 'b', 0.25));
    const both = faults.filter((fault, number) => fault !== null && other[number] !== null).length;
    expect(both / MANY).toBeCloseTo(0.25 * 0.25, 1);
  });

  test('meets about the share of faults that was asked for, harmful and harmless', () => {
    const met = faults.filter((fault) => fault !== null);
    expect(met.length / MANY).toBeCloseTo(0.25, 1);
    expect(met.some((fault) => isHarmless(fault))).toBe(true);
    expect(met.some((fault) => !isHarmless(fault))).toBe(true);
  });

  test('meets every kind of fault that a single request can meet; a closed port is a disturbance', () => {
    const met = new Set(faults.map((fault) => fault?.kind));
    expect(FAULT_KINDS.filter((kind) => !met.has(kind))).toEqual(['refuse']);
  });

  test('tells a mistake of the client from a prompt that does not fit', () => {
    const statuses = faults.filter((fault) => fault?.kind === 'status' && fault.status === 400);
    const overflows = statuses.filter(isOverflow);
    expect(overflows.length).toBeGreaterThan(0);
    expect(overflows.some(isClientsMistake)).toBe(false);
    expect(statuses.filter((fault) => !isOverflow(fault)).every(isClientsMistake)).toBe(true);
  });

  test('knows for how long a server asks to be left alone', () => {
    expect(askedRestMs({ kind: 'status', status: 429, headers: { 'retry-after-ms': '40' } })).toBe(40);
    expect(askedRestMs({ kind: 'status', status: 401 })).toBe(60_000);
    expect(askedRestMs(told(404, 'model_not_found'))).toBe(13_000);
    expect([askedRestMs({ kind: 'status', status: 429 }), askedRestMs(null)]).toEqual([0, 0]);
  });

  test('asks streamed and whole, with and without tools, fenced and free, short and long, and leaves now and then', () => {
    const some = (is: (plan: (typeof plans)[number]) => boolean) => plans.some(is) && !plans.every(is);
    expect(some(({ stream }) => stream)).toBe(true);
    expect(some(({ tool }) => tool)).toBe(true);
    expect(some(({ includeUsage }) => includeUsage)).toBe(true);
    expect(some(({ place }) => place === 'local')).toBe(true);
    expect(some(({ place }) => place === 'cloud')).toBe(true);
    expect(some(({ promptTokens }) => promptTokens > 3_000)).toBe(true);
    expect(some(({ abort }) => abort?.phase === 'waiting')).toBe(true);
    expect(some(({ abort }) => abort?.phase === 'streaming')).toBe(true);
  });

  test('lets every disturbance happen, each to a server that it can happen to, and refused keys not all at once', () => {
    expect(new Set(disturbances.map(({ kind }) => kind))).toEqual(new Set(DISTURBANCES));
    const serverOf = (name: string) => SERVERS.find((server) => server.name === name);
    const of = (wanted: string) =>
      disturbances.filter(({ kind }) => kind === wanted).map(({ server }) => serverOf(server));
    expect(new Set(of('loading').map((server) => server?.kind))).toEqual(new Set(['llama-cpp']));
    expect(new Set(of('key-refused').map((server) => server?.place))).toEqual(new Set(['cloud']));
    expect((of('key-refused').length + of('model-missing').length) / disturbances.length).toBeLessThan(0.06);
    expect(new Set(disturbances.map(({ server }) => server)).size).toBe(SERVERS.length);
  });
});

describe('canaries', () => {
  test('stand in the answer, whose length tells the server', () => {
    const plan = requestPlan(9, 12);
    const text = expectedText({ ...plan, tool: false, body: { ...plan.body, tools: [] } }, 14);
    expect([canariesIn(text), text.split(' ').length]).toEqual([[12], 14]);
  });

  test('are found wherever they stand', () => {
    expect(canariesIn(`${canaryOf(1, 4)} x ${canaryOf(1, 44)}`)).toEqual([4, 44]);
    expect(canariesIn('canary:other')).toEqual([]);
  });
});
