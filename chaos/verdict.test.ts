import { describe, expect, test } from 'bun:test';
import type { Fault } from '../simulators/index.ts';
import { requestPlan } from './schedule.ts';
import {
  type Absence,
  type Arrival,
  type Evidence,
  type Fleet,
  judge,
  type Observation,
  type Verdict,
} from './verdict.ts';

const plan = { ...requestPlan(1, 7), stream: true, includeUsage: false, tool: false, place: null, abort: null };
const expected = 'canary:s1-n7- all of it';
const unable = new Set<string>();
const fleet: Fleet = {
  targets: [
    { name: 'a', place: 'local' },
    { name: 'b', place: 'local' },
    { name: 'c', place: 'cloud' },
  ],
  maxAttempts: 4,
  couldAnswer: (_, target) => !unable.has(target),
};

const SERVED: Observation = {
  startedAtMs: 1_000,
  endedAtMs: 1_100,
  end: 'reply',
  status: 200,
  target: 'a',
  attempts: 1,
  shouldRetry: null,
  text: expected,
  finishReason: 'stop',
  hasUsage: false,
  done: true,
  error: null,
  detail: '',
};
const ERROR = { type: 'server_error', code: 'upstream_error', message: 'it failed' };
const FAILED: Partial<Observation> = {
  status: 502,
  target: null,
  text: '',
  finishReason: null,
  done: false,
  attempts: 2,
  shouldRetry: 'false',
  error: ERROR,
};
const CUT: Partial<Observation> = { done: false, finishReason: null, text: 'canary:s1-n7- all', error: ERROR };

const arrival = (
  target: string,
  fault: Fault | null = null,
  call: Partial<Arrival['call']> = {},
  atMs = 1_010,
): Arrival => ({
  target,
  atMs,
  fault,
  call: { status: 200, endedAtMs: 1_050, aborted: false, reports: null, ...call },
});

interface Case {
  readonly seen?: Partial<Observation>;
  readonly arrivals?: readonly Arrival[];
  readonly absences?: readonly Absence[];
  readonly plan?: Partial<Evidence['plan']>;
  readonly expected?: string | null;
}

function verdict(of: Case): Verdict {
  return judge(
    {
      plan: { ...plan, ...of.plan },
      expected: of.expected === undefined ? expected : of.expected,
      seen: { ...SERVED, ...of.seen },
      arrivals: of.arrivals ?? [arrival('a')],
      absences: of.absences ?? [],
    },
    fleet,
  );
}
const violations = (of: Case) => verdict(of).violations;

const status = (code: number): Fault => ({ kind: 'status', status: code });
const BAD = status(500);

describe('the judge of the chaos run', () => {
  test('has nothing against a whole answer', () => {
    expect(verdict({})).toEqual({ outcome: 'served', violations: [] });
    expect(verdict({ plan: { stream: false }, seen: { done: false, hasUsage: true } }).violations).toEqual([]);
  });

  test('sees each way in which an answer can be wrong', () => {
    expect(violations({ seen: { done: false } })).toEqual(['silently cut']);
    expect(violations({ seen: { text: 'canary:s1-n7- all of' } })).toEqual(['wrong answer']);
    expect(violations({ seen: { finishReason: 'length' } })).toEqual(['wrong answer']);
    expect(violations({ plan: { includeUsage: true } })).toEqual(['wrong answer']);
    expect(violations({ plan: { stream: false } })).toEqual(['wrong answer']);
    expect(violations({ seen: { text: expected + expected } })).toEqual(['duplicated', 'wrong answer']);
    expect(violations({ seen: { text: 'canary:s1-n8- not yours' } })).toEqual(['cross-wired', 'wrong answer']);
    expect(violations({ seen: { end: 'hung' } })).toEqual(['hung']);
    expect(violations({ seen: { end: 'thrown' } })).toEqual(['lost']);
  });

  test('believes nobody who names another server than the one that was asked last, or none', () => {
    expect(violations({ arrivals: [arrival('a', BAD), arrival('b')] })).toEqual(['wrong answer']);
    expect(violations({ seen: { target: null }, expected: null })).toEqual(['wrong answer']);
  });

  test('wants the usage of a whole reply, but not from a server that streamed it unasked', () => {
    const whole = { plan: { stream: false }, seen: { done: false } };
    expect(violations({ ...whole, arrivals: [arrival('a', { kind: 'stream-for-whole' })] })).toEqual([]);
  });

  test('lets a stream break only through its server, and only behind the right text', () => {
    const cut: Fault = { kind: 'cut', afterChunks: 2 };
    expect(verdict({ seen: CUT, arrivals: [arrival('a', cut)] })).toEqual({ outcome: 'cut', violations: [] });
    expect(violations({ seen: CUT })).toEqual(['wrongly cut']);
    expect(violations({ seen: CUT, arrivals: [arrival('a', { kind: 'gzip' })] })).toEqual(['wrongly cut']);
    expect(violations({ seen: { ...CUT, text: 'something else' }, arrivals: [arrival('a', cut)] })).toEqual([
      'wrong answer',
    ]);
    const away = { target: 'a', why: 'kill', fromMs: 1_050, toMs: 1_060 };
    expect(violations({ seen: CUT, absences: [away] })).toEqual([]);
  });

  test('wants the text before a client left to be the beginning of the answer', () => {
    const left: Partial<Observation> = { end: 'aborted', done: false, finishReason: null, text: 'canary:s1-n7- all' };
    expect(verdict({ seen: left })).toEqual({ outcome: 'aborted', violations: [] });
    expect(violations({ seen: { ...left, text: 'canary:s1-n7- of' } })).toEqual(['wrong answer']);
    const early = { end: 'aborted', status: null, target: null, text: '' } as const;
    expect(violations({ seen: early, expected: null, arrivals: [] })).toEqual([]);
  });

  test('lets a request fail only when nobody else could have answered', () => {
    const tried = [arrival('a', BAD), arrival('b', BAD)];
    expect(verdict({ seen: FAILED, arrivals: tried })).toEqual({ outcome: 'failed', violations: ['wrongly failed'] });
    expect(violations({ seen: FAILED, arrivals: tried, plan: { place: 'local' } })).toEqual([]);
    const away = { target: 'c', why: 'kill', fromMs: 0, toMs: 1_050 };
    expect(violations({ seen: FAILED, arrivals: tried, absences: [away] })).toEqual([]);
    expect(violations({ seen: FAILED, arrivals: tried, absences: [{ ...away, toMs: 900 }] })).toEqual([
      'wrongly failed',
    ]);
    const spent = { ...FAILED, attempts: 4 };
    expect(violations({ seen: spent, arrivals: [arrival('a', BAD), arrival('c', BAD)] })).toEqual([]);
    expect(violations({ seen: spent, arrivals: tried })).toEqual([]);
    unable.add('c');
    expect(violations({ seen: FAILED, arrivals: tried })).toEqual([]);
    unable.clear();
  });

  test("asks nobody else about a client's own mistake, which must be told as such", () => {
    const mistake = { ...FAILED, status: 413, attempts: 1 };
    expect(violations({ seen: mistake, arrivals: [arrival('a', status(413))] })).toEqual([]);
    expect(violations({ seen: { ...mistake, status: 502 }, arrivals: [arrival('a', status(413))] })).toEqual([
      'badly told',
    ]);
  });

  test('wants errors that a client library understands, and that are not another cause’s', () => {
    const tried = ['a', 'b', 'c'].map((target) => arrival(target, BAD));
    const told = (seen: Partial<Observation>) => violations({ seen: { ...FAILED, ...seen }, arrivals: tried });
    expect(told({})).toEqual([]);
    expect(told({ error: null })).toEqual(['badly told']);
    expect(told({ error: { ...ERROR, code: null } })).toEqual(['badly told']);
    expect(told({ error: { ...ERROR, message: '' } })).toEqual(['badly told']);
    expect(told({ status: 401 })).toEqual(['badly told']);
    expect(told({ status: 400 })).toEqual(['badly told']);
    expect(told({ shouldRetry: null })).toEqual(['badly told']);
    expect(violations({ seen: { ...CUT, error: { ...ERROR, type: 7 } }, arrivals: [arrival('a', BAD)] })).toEqual([
      'badly told',
    ]);
  });

  test('lets a prompt be called too long only where it is, or where a server said so', () => {
    const error = { ...ERROR, code: 'context_length_exceeded' };
    const seen = { ...FAILED, status: 400, attempts: 4, error };
    const overflow: Fault = { kind: 'status', status: 400, body: { error: { code: 'context_length_exceeded' } } };
    const tried = (fault: Fault) => [arrival('c', BAD), arrival('a', fault)];
    expect(violations({ seen, arrivals: tried(overflow) })).toEqual([]);
    expect(violations({ seen, arrivals: tried(BAD) })).toEqual(['badly told']);
    expect(violations({ seen, arrivals: tried(BAD), plan: { promptTokens: 4_000 } })).toEqual([]);
  });

  test('lets a server see a request again only where it surely did not process it', () => {
    const again = (first: Arrival, ...more: readonly Arrival[]) =>
      violations({ arrivals: [first, ...more, arrival('a')] });
    const reset = arrival('a', { kind: 'reset-before-headers' }, { status: null });
    expect(again(arrival('a', BAD))).toEqual(['processed twice']);
    expect(again(arrival('a', { kind: 'hang' }, { status: null }))).toEqual(['processed twice']);
    expect(again(arrival('a', { kind: 'junk' }, { status: null }))).toEqual(['processed twice']);
    expect(again(arrival('a', null, { status: null }))).toEqual(['processed twice']);
    expect(again(arrival('a', status(429)))).toEqual([]);
    expect(again(reset)).toEqual([]);
    expect(again(reset, reset)).toEqual(['processed twice']);
    const killed = { target: 'a', why: 'kill', fromMs: 1_000, toMs: 1_020 };
    const unanswered = [arrival('a', null, { status: null }), arrival('a')];
    expect(violations({ arrivals: unanswered, absences: [killed] })).toEqual([]);
    expect(violations({ arrivals: [arrival('a'), arrival('a')], absences: [killed] })).toEqual(['processed twice']);
  });

  test('counts the attempts, but not the free replays', () => {
    const tried = ['b', 'c', 'd'].map((target) => arrival(target, BAD));
    const reset = arrival('a', { kind: 'reset-before-headers' }, { status: null });
    expect(violations({ arrivals: [...tried, reset, arrival('a')] })).toEqual([]);
    expect(violations({ arrivals: [...tried, arrival('e', BAD), arrival('a')] })).toEqual(['too many attempts']);
    // The replay found nobody any more.
    const gone = arrival('e', { kind: 'reset-before-headers' }, { status: null });
    const killed = { target: 'e', why: 'kill', fromMs: 1_000, toMs: 5_000 } as const;
    expect(violations({ arrivals: [...tried, gone, arrival('a')], absences: [killed] })).toEqual([]);
    expect(violations({ arrivals: [...tried, gone, arrival('a')] })).toEqual(['too many attempts']);
    // One that was waited for was tried, whatever became of its server.
    const waited = arrival('e', { kind: 'hang' }, { status: null });
    expect(violations({ arrivals: [...tried, waited, arrival('a')], absences: [killed] })).toEqual([
      'too many attempts',
    ]);
  });

  test('lets a server that loads its model be asked again, at no cost', () => {
    const loading = arrival('a', null, { status: 503 });
    const tried = ['b', 'c', 'd'].map((target) => arrival(target, BAD));
    expect(violations({ arrivals: [loading, loading, ...tried, arrival('a')] })).toEqual([]);
  });

  test('sees an upstream call that outlives its request', () => {
    const open = arrival('a', { kind: 'hang' }, { status: null, endedAtMs: null });
    expect(violations({ seen: { end: 'aborted' }, arrivals: [open] })).toEqual(['not cancelled']);
    expect(violations({ arrivals: [open, arrival('a')] })).toEqual(['processed twice', 'not cancelled']);
    const left = (atMs: number, endedAtMs: number) =>
      violations({ seen: { end: 'aborted' }, arrivals: [arrival('a', null, { endedAtMs }, atMs)] });
    expect([left(1_010, 2_000), left(1_010, 2_200), left(1_900, 2_200)]).toEqual([[], ['not cancelled'], []]);
  });
});
