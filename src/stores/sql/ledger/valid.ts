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
  for (const name of STARTS) if (!isAmount(start[name])) return wrongAmount(name, start[name]);
  return null;
}

function problemOfEnd(end: AttemptEnd): string | null {
  for (const name of ENDS) if (!isAmount(end[name])) return wrongAmount(name, end[name]);
  if (end.status !== null && !Number.isSafeInteger(end.status)) return `status is ${end.status}`;
  const { costNanoUsd } = end;
  return costNanoUsd === null || isAmount(costNanoUsd) ? null : wrongAmount('costNanoUsd', costNanoUsd);
}

function isAmount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function wrongAmount(name: string, value: number): string {
  return `${name} is ${value}, not an integer from 0 to 2^53 - 1`;
}
