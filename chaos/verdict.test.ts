import { describe, expect, test } from 'bun:test';
import type { Fault } from '../simulators/index.ts';
import { faultOf, isHarmless, requestPlan } from './schedule.ts';
import { type Absence, type Arrival, type Fleet, judge, type Observation } from './verdict.ts';

const plan = { ...requestPlan(1, 7), stream: true, place: null, abort: null };
const expected = 'canary:s1-n7- all of it';
const faults = new Map<string, Fault>();
const fleet: Fleet = {
  targets: [
    { name: 'a', place: 'local' },
    { name: 'b', place: 'local' },
    { name: 'c', place: 'cloud' },
  ],
  maxAttempts: 4,
  faultOf: (_, target) => faults.get(target) ?? null,
};

const seen = (change: Partial<Observation> = {}): Observation => ({
  startedAtMs: 1_000,
  endedAtMs: 1_100,
  end: 'reply',
  status: 200,
  code: null,
  attempts: 1,
  text: expected,
  done: true,
  broken: false,
  detail: '',
  ...change,
});

const arrival = (target: string, fault: Fault | null = null, isAnswered = true): Arrival => ({
  target,
  atMs: 1_010,
  fault,
  isAnswered: () => isAnswered,
});

const verdict = (
  observed: Partial<Observation>,
  arrivals: readonly Arrival[] = [arrival('a')],
  absences: readonly Absence[] = [],
) => judge(plan, expected, seen(observed), arrivals, absences, fleet);

const BAD: Fault = { kind: 'status', status: 500 };

describe('the judge of the chaos run', () => {
  test('has nothing against a whole answer', () => {
    expect(verdict({})).toEqual({ outcome: 'served', violations: [] });
  });

  test('sees each way in which an answer can be wrong', () => {
    expect(verdict({ done: false }).violations).toEqual(['silently cut']);
    expect(verdict({ text: expected + expected }).violations).toEqual(['wrong answer']);
    expect(verdict({ text: 'canary:s1-n8- not yours' }).violations).toEqual(['cross-wired', 'wrong answer']);
    expect(verdict({ end: 'hung' }).violations).toEqual(['hung']);
    expect(verdict({ end: 'thrown', status: null }).violations).toEqual(['lost']);
  });

  test('lets a stream break only through its server, and only behind the right text', () => {
    const broken = { broken: true, done: false, text: 'canary:s1-n7- all' };
    const cut: Fault = { kind: 'cut', afterChunks: 2 };
    expect(verdict(broken, [arrival('a', cut)])).toEqual({ outcome: 'cut', violations: [] });
    expect(verdict(broken).violations).toEqual(['wrongly cut']);
    expect(verdict({ ...broken, text: 'something else' }, [arrival('a', cut)]).violations).toEqual(['wrong answer']);
    const away = { target: 'a', fromMs: 1_050, toMs: 1_060 };
    expect(verdict(broken, [arrival('a')], [away]).violations).toEqual([]);
  });

  test('lets a request fail only when nobody else could have answered', () => {
    const failed = { status: 502, text: '', done: false, attempts: 2 };
    const tried = [arrival('a', BAD), arrival('b', BAD)];
    expect(verdict(failed, tried)).toEqual({ outcome: 'failed', violations: ['wrongly failed'] });
    const away = { target: 'c', fromMs: 0, toMs: 1_050 };
    expect(verdict(failed, tried, [away]).violations).toEqual([]);
    expect(verdict({ ...failed, attempts: 4 }, tried).violations).toEqual([]);
    faults.set('c', BAD);
    expect(verdict(failed, tried).violations).toEqual([]);
    faults.clear();
    expect(verdict(failed, [arrival('a', { kind: 'status', status: 400 })]).violations).toEqual([]);
  });

  test('lets a server see a request again only where it surely did not process it', () => {
    const reset: Fault = { kind: 'reset-before-headers' };
    const limited: Fault = { kind: 'status', status: 429 };
    expect(verdict({}, [arrival('a', BAD), arrival('a')]).violations).toEqual(['processed twice']);
    expect(verdict({}, [arrival('a', { kind: 'hang' }, false), arrival('a')]).violations).toEqual(['processed twice']);
    expect(verdict({}, [arrival('a', limited), arrival('a')]).violations).toEqual([]);
    expect(verdict({}, [arrival('a', reset, false), arrival('a')]).violations).toEqual([]);
    const thrice = [arrival('a', reset, false), arrival('a', reset, false), arrival('a')];
    expect(verdict({}, thrice).violations).toEqual(['processed twice']);
  });

  test('counts the attempts', () => {
    const five = ['a', 'b', 'c', 'd', 'e'].map((target) => arrival(target, BAD));
    expect(verdict({}, five).violations).toEqual(['too many attempts']);
  });
});

describe('the schedule of the chaos run', () => {
  test('is the same for the same seed and another for another', () => {
    const faultsOf = (seed: number) => Array.from({ length: 200 }, (_, number) => faultOf(seed, number, 'a', 0.25));
    expect(faultsOf(1)).toEqual(faultsOf(1));
    expect(faultsOf(1)).not.toEqual(faultsOf(2));
    expect(requestPlan(1, 5)).toEqual(requestPlan(1, 5));
    expect(requestPlan(1, 5)).not.toEqual(requestPlan(1, 6));
  });

  test('meets about the share of faults that was asked for, harmful and harmless, of many kinds', () => {
    const all = Array.from({ length: 20_000 }, (_, number) => faultOf(3, number, 'a', 0.25));
    const met = all.filter((fault) => fault !== null);
    expect(met.length / all.length).toBeCloseTo(0.25, 1);
    expect(new Set(met.map((fault) => fault.kind)).size).toBeGreaterThan(20);
    expect(met.some((fault) => isHarmless(fault))).toBe(true);
  });
});
