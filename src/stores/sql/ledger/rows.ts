import type { AttemptStart, LedgerOperation } from '../../../core/ledger.ts';
import type { Value } from './script.ts';

/** PostgreSQL takes no NUL in a text, and names of models come from strangers. */
export function textOf(value: string): string {
  return value.includes('\0') ? value.replaceAll('\0', '\uFFFD') : value;
}

/** In the order of START_ATTEMPTS. */
export function startRow(ownerId: string, start: AttemptStart): readonly Value[] {
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
  ];
}

/** In the order of END_ATTEMPTS. */
export function endRow({
  organisationId,
  attemptId,
  end,
}: Extract<LedgerOperation, { kind: 'end' }>): readonly Value[] {
  return [
    organisationId,
    attemptId,
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
    end.costNanoUsd,
  ];
}
