import type { AttemptEnd, AttemptStart, LedgerOperation } from '../../../core/ledger.ts';

/** What no store could write, in words; null: nothing. One bad operation must not take its batch along. */
export function problemOf(operation: LedgerOperation): string | null {
  return operation.kind === 'start' ? problemOfStart(operation.start) : problemOfEnd(operation.end);
}

const STARTS = [
  'attempt',
  'startedAtMs',
  'reservedNanoUsd',
  'reservedTokens',
] as const satisfies (keyof AttemptStart)[];
const ENDS = [
  'endedAtMs',
  'inputTokens',
  'cachedInputTokens',
  'outputTokens',
  'reasoningTokens',
  'imageTokens',
  'audioInputTokens',
  'audioOutputTokens',
  'savedNanoUsd',
] as const satisfies (keyof AttemptEnd)[];

function problemOfStart(start: AttemptStart): string | null {
  if (start.attemptId === '') return 'attemptId is empty';
  return STARTS.map((name) => wrongAmount(name, start[name])).find((problem) => problem !== null) ?? null;
}

function problemOfEnd(end: AttemptEnd): string | null {
  const problem = ENDS.map((name) => wrongAmount(name, end[name])).find((found) => found !== null) ?? null;
  if (problem !== null) return problem;
  if (end.status !== null && !Number.isSafeInteger(end.status)) return `status is ${end.status}`;
  return end.costNanoUsd === null ? null : wrongAmount('costNanoUsd', end.costNanoUsd);
}

function wrongAmount(name: string, value: number): string | null {
  return Number.isSafeInteger(value) && value >= 0 ? null : `${name} is ${value}, not an integer from 0 to 2^53 - 1`;
}
