import type { AttemptEnd, LedgerOperation } from '../../../core/ledger.ts';
import type { StartedAttempt, WholeAttempt } from './decide.ts';
import type { Value } from './script.ts';

type EndOperation = Extract<LedgerOperation, { kind: 'end' }>;

/** PostgreSQL takes no NUL in a text, and names of models come from strangers. */
export function textOf(value: string): string {
  return value.includes('\0') ? value.replaceAll('\0', '\uFFFD') : value;
}

/** In the order of START_ATTEMPTS. */
export function startRow(ownerId: string, { start, parts }: StartedAttempt): readonly Value[] {
  const { organisationId, projectId, keyId } = start.payer;
  return [
    organisationId,
    start.attemptId,
    textOf(start.requestId),
    start.attempt,
    projectId,
    keyId,
    start.targetId,
    start.adapterKind,
    start.place,
    textOf(start.model),
    start.operation,
    start.stream ? 1 : 0,
    start.startedAtMs,
    start.reservedNanoUsd,
    start.reservedTokens,
    ownerId,
    parts,
  ];
}

/** In the order of END_ATTEMPTS. */
export function endRow({ organisationId, attemptId, end }: EndOperation): readonly Value[] {
  return [organisationId, attemptId, ...endValues(end, end.costNanoUsd)];
}

/** In the order of WHOLE_ATTEMPTS. What an unknown one costs is decided as END_ATTEMPTS does. */
export function wholeRow(ownerId: string, attempt: WholeAttempt): readonly Value[] {
  const { start, end } = attempt;
  const { costNanoUsd } = end;
  const most = start.reservedNanoUsd;
  const isCapped = end.state === 'unknown' && most > 0 && (costNanoUsd === null || costNanoUsd > most);
  return [...startRow(ownerId, attempt), ...endValues(end, isCapped ? most : costNanoUsd)];
}

function endValues(end: AttemptEnd, costNanoUsd: number | null): readonly Value[] {
  return [
    end.state,
    end.endedAtMs,
    end.status,
    end.failure,
    end.clientOutcome,
    end.inputTokens,
    end.cachedInputTokens,
    end.outputTokens,
    end.reasoningTokens,
    end.imageTokens,
    end.audioInputTokens,
    end.audioOutputTokens,
    end.costSource,
    end.savedNanoUsd,
    end.estimated ? 1 : 0,
    costNanoUsd,
  ];
}
