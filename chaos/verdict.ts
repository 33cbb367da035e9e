import type { Fault } from '../simulators/index.ts';
import { isClientsMistake, isHarmless, isOverflow, isRefusal } from './faults.ts';
import { canariesIn, type RequestPlan } from './schedule.ts';

/** A request as it reached one server. Times are `performance.now()`. */
export interface Arrival {
  readonly target: string;
  readonly atMs: number;
  readonly fault: Fault | null;
  /** Goes on to change until it has ended. */
  readonly call: {
    /** Null until a status line was sent. */
    readonly status: number | null;
    readonly endedAtMs: number | null;
    /** The gateway closed the connection before the answer's end. */
    readonly aborted: boolean;
    /** What its answer says that it used; null: nothing was generated. */
    readonly reports: Readonly<Record<string, unknown>> | null;
  };
}

/** An error as a client is told it, in a reply or in a stream. */
export interface ToldError {
  readonly type: unknown;
  readonly code: unknown;
  readonly message: unknown;
}

/** What the client saw. */
export interface Observation {
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** `thrown`: no HTTP reply, or its body broke off · `hung`: nothing for too long. */
  readonly end: 'reply' | 'aborted' | 'thrown' | 'hung';
  /** Null: no reply. */
  readonly status: number | null;
  /** Who answered, as the reply's header says; null: it does not. */
  readonly target: string | null;
  /** As the reply's header counts them, those that reached nobody included; 0: it does not say. */
  readonly attempts: number;
  /** The header that tells SDKs not to ask again; null: absent. */
  readonly shouldRetry: string | null;
  /** Text and tool arguments that came. */
  readonly text: string;
  readonly finishReason: string | null;
  readonly hasUsage: boolean;
  /** Streams: the end marker came. */
  readonly done: boolean;
  /** Of an error reply, or of the event that broke a stream. */
  readonly error: ToldError | null;
  readonly detail: string;
}

/** A server was away, or its clients were told to keep away. */
export interface Absence {
  readonly target: string;
  readonly why: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Fleet {
  readonly targets: readonly { readonly name: string; readonly place: 'local' | 'cloud' }[];
  readonly maxAttempts: number;
  /** Would this server have answered this request in full, were it there? */
  readonly couldAnswer: (plan: RequestPlan, target: string) => boolean;
}

/** What must never happen, and what it means. */
export const VIOLATIONS = {
  lost: 'no reply, or a body that broke off',
  hung: 'not ended within the request clock and one stall',
  duplicated: 'the same text twice in one answer',
  'cross-wired': "another request's text",
  'silently cut': 'a stream without end marker and without error event',
  'wrong answer': "a 200 that is not its server's whole answer, or a piece of it before an error",
  'wrongly cut': 'a stream broken although its server did well',
  'wrongly failed': 'an error although a server that was not asked would have answered',
  'badly told': "an error that is none of OpenAI's, or not that of its cause",
  'processed twice': 'the same server again although it may have processed the request',
  'too many attempts': 'more upstream calls than allowed',
  'not cancelled': 'an upstream call left open after the end of its request',
} as const;
export type Violation = keyof typeof VIOLATIONS;

export interface Verdict {
  readonly outcome: 'served' | 'cut' | 'failed' | 'aborted';
  readonly violations: readonly Violation[];
}

export interface Evidence {
  readonly plan: RequestPlan;
  /** The whole answer of the server that the reply names; null: it names none. */
  readonly expected: string | null;
  readonly seen: Observation;
  readonly arrivals: readonly Arrival[];
  readonly absences: readonly Absence[];
}

/** Was this request treated as promised? Pure: everything that happened → the verdict. */
export function judge(evidence: Evidence, fleet: Fleet): Verdict {
  const { seen } = evidence;
  const found: readonly (readonly [Violation, boolean])[] = [
    ['lost', seen.end === 'thrown'],
    ['hung', seen.end === 'hung'],
    ['duplicated', canariesIn(seen.text).length > 1],
    ['cross-wired', canariesIn(seen.text).some((number) => number !== evidence.plan.number)],
    ['silently cut', isSilentlyCut(evidence)],
    ['wrong answer', !isTextRight(evidence)],
    ['wrongly cut', outcomeOf(seen) === 'cut' && !brokeRightly(evidence)],
    ['wrongly failed', isErrorReply(seen) && !failedRightly(evidence, fleet)],
    ['badly told', !isToldWell(evidence)],
    ['processed twice', repeatsOf(evidence).illegal > 0],
    ['too many attempts', chargedAttempts(evidence) > fleet.maxAttempts],
    ['not cancelled', evidence.arrivals.some((arrival) => outlives(arrival, seen))],
  ];
  return { outcome: outcomeOf(seen), violations: found.filter(([, is]) => is).map(([violation]) => violation) };
}

function outcomeOf(seen: Observation): Verdict['outcome'] {
  if (seen.end === 'aborted') return 'aborted';
  if (seen.status !== 200) return 'failed';
  return seen.error === null ? 'served' : 'cut';
}

const isErrorReply = (seen: Observation): boolean => seen.end === 'reply' && seen.status !== 200;

function isSilentlyCut({ plan, seen }: Evidence): boolean {
  return seen.end === 'reply' && outcomeOf(seen) === 'served' && plan.stream && !seen.done;
}

/** An answer is its server's to the letter; what comes before a break or a client's leaving is how that begins. */
function isTextRight({ plan, expected, seen, arrivals }: Evidence): boolean {
  if (seen.status !== 200) return seen.text === '';
  if (expected === null || arrivals.at(-1)?.target !== seen.target) return false;
  if (seen.end !== 'reply' || seen.error !== null) return expected.startsWith(seen.text);
  const isWhole = seen.text === expected && seen.finishReason === (plan.tool ? 'tool_calls' : 'stop');
  return isWhole && (seen.hasUsage || !isUsageOwed(plan, arrivals.at(-1)?.fault ?? null));
}

/** A server that streams where a whole reply was asked for was not asked for the usage of a stream. */
function isUsageOwed(plan: RequestPlan, fault: Fault | null): boolean {
  return plan.stream ? plan.includeUsage : fault?.kind !== 'stream-for-whole';
}

/** Its last server had a fault, or went away meanwhile. */
function brokeRightly({ seen, arrivals, absences }: Evidence): boolean {
  const last = arrivals.at(-1);
  return last !== undefined && (!isHarmless(last.fault) || isAway(last.target, seen, absences));
}

function failedRightly({ plan, seen, arrivals, absences }: Evidence, fleet: Fleet): boolean {
  if (isClientsMistake(arrivals.at(-1)?.fault ?? null)) return true;
  const tried = new Set(arrivals.map(({ target }) => target));
  const others = fleet.targets.filter(
    ({ name, place }) => !tried.has(name) && (plan.place === null || plan.place === place),
  );
  const able = others.filter(({ name }) => fleet.couldAnswer(plan, name) && !isAway(name, seen, absences));
  // Whether one that is there rests after the failures of others cannot be seen from here: all attempts may be spent.
  return able.length === 0 || Math.max(arrivals.length, seen.attempts) >= fleet.maxAttempts;
}

/** An SDK raises the right exception from it, and does not ask again what we asked often enough. */
function isToldWell({ plan, seen, arrivals }: Evidence): boolean {
  if (seen.end !== 'reply' || outcomeOf(seen) === 'served') return true;
  const { error, status } = seen;
  const said = [error?.type, error?.code, error?.message];
  if (!said.every((text) => typeof text === 'string' && text !== '')) return false;
  if (status === 200 || status === null) return true;
  if (arrivals.length > 0 && seen.shouldRetry !== 'false') return false;
  if (error?.code === 'context_length_exceeded') return status === 400 && isTooLong(plan, arrivals);
  const last = arrivals.at(-1)?.fault ?? null;
  if (isClientsMistake(last)) return last?.kind === 'status' && status === last.status;
  return status === 404 || status === 429 || (status >= 500 && status <= 504);
}

const isTooLong = (plan: RequestPlan, arrivals: readonly Arrival[]): boolean =>
  plan.promptTokens > LONG_TOKENS || arrivals.some(({ fault }) => isOverflow(fault));
/** Above all short prompts, below the smallest context. */
const LONG_TOKENS = 1_000;

/** So long after the end of a request its upstream calls must be closed. The gateway promises less; the machine is busy. */
export const CLOSED_WITHIN_MS = 1_000;

/** A call may still have been on its way when the client left: then its own beginning counts. */
function outlives({ atMs, call }: Arrival, { endedAtMs }: Observation): boolean {
  return call.endedAtMs === null || call.endedAtMs - Math.max(atMs, endedAtMs) > CLOSED_WITHIN_MS;
}

interface Span {
  readonly startedAtMs: number;
  readonly endedAtMs: number;
}

/** The server's absences that touch the time of a request. */
export function absencesOf(target: string, { startedAtMs, endedAtMs }: Span, absences: readonly Absence[]): Absence[] {
  return absences.filter(
    (absence) => absence.target === target && absence.fromMs <= endedAtMs && absence.toMs >= startedAtMs,
  );
}

const isAway = (target: string, span: Span, absences: readonly Absence[]): boolean =>
  absencesOf(target, span, absences).length > 0;

/** Arrivals of one request at a server that had it before: allowed where that surely did not process it. */
function repeatsOf({ arrivals, absences }: Evidence): { free: number; illegal: number } {
  const before = new Map<string, Arrival>();
  const replayed = new Set<string>();
  let free = 0;
  let illegal = 0;
  for (const arrival of arrivals) {
    const earlier = before.get(arrival.target);
    before.set(arrival.target, arrival);
    if (isLoading(arrival)) free++;
    if (earlier === undefined || isLoading(earlier) || isRefusal(earlier.fault)) continue;
    if (!replayed.has(arrival.target) && diedUnanswered(earlier, arrival, absences)) {
      replayed.add(arrival.target);
      free++;
    } else illegal++;
  }
  return { free, illegal };
}

function chargedAttempts(evidence: Evidence): number {
  return evidence.arrivals.length - repeatsOf(evidence).free - metNobody(evidence);
}

/** Their connection was reset without a byte, and the free replay found the server gone: one that cannot be reached costs no attempt. */
function metNobody({ arrivals, absences }: Evidence): number {
  return arrivals.filter((arrival, index) => {
    if (arrival.call.status !== null || arrival.fault?.kind !== 'reset-before-headers') return false;
    if (arrivals.slice(index + 1).some(({ target }) => target === arrival.target)) return false;
    const span = { startedAtMs: arrival.atMs, endedAtMs: arrivals[index + 1]?.atMs ?? arrival.atMs };
    return absencesOf(arrival.target, span, absences).some(({ why }) => why === 'kill');
  }).length;
}

/** A 503 that no fault explains: its model is loading, which costs no attempt. */
const isLoading = ({ call, fault }: Arrival): boolean => call.status === 503 && fault?.kind !== 'status';

/** A connection that had been used before and broke without a byte: the one free replay. */
function diedUnanswered({ target, atMs, fault, call }: Arrival, next: Arrival, absences: readonly Absence[]): boolean {
  if (call.status !== null) return false;
  if (fault?.kind === 'reset-before-headers') return true;
  return absencesOf(target, { startedAtMs: atMs, endedAtMs: next.atMs }, absences).some(({ why }) => why === 'kill');
}
