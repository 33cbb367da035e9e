import type { Fault } from '../simulators/index.ts';
import { canariesIn, isClientsMistake, isHarmless, isRefusal, type RequestPlan } from './schedule.ts';

/** A request as it reached one server. */
export interface Arrival {
  readonly target: string;
  readonly atMs: number;
  readonly fault: Fault | null;
  /** A byte of an answer was sent. */
  readonly isAnswered: () => boolean;
}

/** What the client saw. Times are `performance.now()`. */
export interface Observation {
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** `thrown`: no HTTP reply, or its body broke off · `hung`: nothing for too long. */
  readonly end: 'reply' | 'aborted' | 'thrown' | 'hung';
  /** Null: no reply. */
  readonly status: number | null;
  readonly code: string | null;
  /** As the reply's header counts them, those that reached nobody included; 0: it does not say. */
  readonly attempts: number;
  /** Text and tool arguments that came. */
  readonly text: string;
  /** Streams: the end marker came. */
  readonly done: boolean;
  /** Streams: an error event came. */
  readonly broken: boolean;
  readonly detail: string;
}

/** A server was away, or its clients were told to keep away. */
export interface Absence {
  readonly target: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Fleet {
  readonly targets: readonly { readonly name: string; readonly place: 'local' | 'cloud' }[];
  readonly maxAttempts: number;
  readonly faultOf: (number: number, target: string) => Fault | null;
}

export const VIOLATIONS = [
  'lost',
  'hung',
  'silently cut',
  'cross-wired',
  'wrong answer',
  'wrongly cut',
  'wrongly failed',
  'processed twice',
  'too many attempts',
] as const;
export type Violation = (typeof VIOLATIONS)[number];

export interface Verdict {
  readonly outcome: 'served' | 'cut' | 'failed' | 'aborted';
  readonly violations: readonly Violation[];
}

/** Was this request treated as promised? Pure: everything that happened → the verdict. */
export function judge(
  plan: RequestPlan,
  expected: string,
  seen: Observation,
  arrivals: readonly Arrival[],
  absences: readonly Absence[],
  fleet: Fleet,
): Verdict {
  const violations = new Set<Violation>();
  if (canariesIn(seen.text).some((number) => number !== plan.number)) violations.add('cross-wired');
  const repeats = repeatsOf(arrivals, absences);
  if (repeats.illegal > 0) violations.add('processed twice');
  if (arrivals.length - repeats.free > fleet.maxAttempts) violations.add('too many attempts');
  const outcome = outcomeOf(seen);
  if (seen.end === 'hung') violations.add('hung');
  if (seen.end === 'thrown') violations.add('lost');
  if (seen.end === 'reply') judgeReply(plan, expected, seen, arrivals, absences, fleet, violations);
  return { outcome, violations: [...violations] };
}

function outcomeOf(seen: Observation): Verdict['outcome'] {
  if (seen.end === 'aborted') return 'aborted';
  if (seen.status !== 200) return 'failed';
  return seen.broken ? 'cut' : 'served';
}

function judgeReply(
  plan: RequestPlan,
  expected: string,
  seen: Observation,
  arrivals: readonly Arrival[],
  absences: readonly Absence[],
  fleet: Fleet,
  violations: Set<Violation>,
): void {
  if (seen.status !== 200) {
    if (!failedRightly(plan, seen, arrivals, absences, fleet)) violations.add('wrongly failed');
    return;
  }
  if (seen.broken) {
    if (!expected.startsWith(seen.text)) violations.add('wrong answer');
    if (!brokeRightly(seen, arrivals, absences)) violations.add('wrongly cut');
    return;
  }
  if (plan.stream && !seen.done) violations.add('silently cut');
  if (seen.text !== expected) violations.add('wrong answer');
}

/** Its last server had a fault, or went away meanwhile. */
function brokeRightly(seen: Observation, arrivals: readonly Arrival[], absences: readonly Absence[]): boolean {
  const last = arrivals.at(-1);
  return last !== undefined && (!isHarmless(last.fault) || isAway(last.target, seen, absences));
}

function failedRightly(
  plan: RequestPlan,
  seen: Observation,
  arrivals: readonly Arrival[],
  absences: readonly Absence[],
  fleet: Fleet,
): boolean {
  if (isClientsMistake(arrivals.at(-1)?.fault ?? null)) return true;
  if (Math.max(arrivals.length, seen.attempts) >= fleet.maxAttempts) return true;
  const tried = new Set(arrivals.map(({ target }) => target));
  const others = fleet.targets.filter(
    ({ name, place }) => !tried.has(name) && (plan.place === null || plan.place === place),
  );
  return others.every(({ name }) => !isHarmless(fleet.faultOf(plan.number, name)) || isAway(name, seen, absences));
}

function isAway(target: string, { startedAtMs, endedAtMs }: Observation, absences: readonly Absence[]): boolean {
  return absences.some(
    (absence) => absence.target === target && absence.fromMs <= endedAtMs && absence.toMs >= startedAtMs,
  );
}

/** Arrivals of one request at a server that had it before: allowed where that surely did not process it. */
function repeatsOf(arrivals: readonly Arrival[], absences: readonly Absence[]): { free: number; illegal: number } {
  const before = new Map<string, Arrival>();
  const replayed = new Set<string>();
  let free = 0;
  let illegal = 0;
  for (const arrival of arrivals) {
    const earlier = before.get(arrival.target);
    if (earlier !== undefined) {
      const away = isAway(arrival.target, { ...NEVER, startedAtMs: earlier.atMs, endedAtMs: arrival.atMs }, absences);
      // A connection that had been used before and closed without a byte: the one free replay.
      const isReplay = !earlier.isAnswered() && earlier.fault?.kind !== 'hang' && !replayed.has(arrival.target);
      if (isReplay) replayed.add(arrival.target);
      if (isReplay || away) free++;
      else if (!isRefusal(earlier.fault)) illegal++;
    }
    before.set(arrival.target, arrival);
  }
  return { free, illegal };
}

const NEVER: Observation = {
  startedAtMs: 0,
  endedAtMs: 0,
  end: 'reply',
  status: null,
  code: null,
  attempts: 0,
  text: '',
  done: false,
  broken: false,
  detail: '',
};
