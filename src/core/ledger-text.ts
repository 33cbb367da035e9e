import type { AttemptEnd, AttemptStart, LedgerBatch, LedgerOperation } from './ledger.ts';

/**
 * Operations as text, for files and for other threads: lists in place of objects, and a call that begins and ends side by
 * side is one. Written once for each call and read once, so that both are as cheap as they can be.
 */
export function encodeOperations(operations: readonly LedgerOperation[]): string {
  const records: Fields[] = [];
  for (let index = 0; index < operations.length; index++) {
    const operation = operations[index] as LedgerOperation;
    if (operation.kind === 'end') {
      records.push([END, operation.organisationId, operation.attemptId, ...endFields(operation.end)]);
      continue;
    }
    const next = operations[index + 1];
    if (operation.enforce) records.push([ENFORCED, ...startFields(operation.start)]);
    else if (isEndOf(operation.start, next)) {
      records.push(wholeFields(operation.start, next.end));
      index++;
    } else records.push([START, ...startFields(operation.start)]);
  }
  return JSON.stringify(records);
}

/** Whether there is a start whose end is not beside it. */
export function leavesOpen(operations: readonly LedgerOperation[]): boolean {
  return operations.some(
    (operation, index) => operation.kind === 'start' && !isEndOf(operation.start, operations[index + 1]),
  );
}

/**
 * The same from their text. Also reads what earlier versions wrote: one operation as an object.
 * @throws SyntaxError when it is no JSON
 */
export function decodeOperations(text: string): readonly LedgerOperation[] {
  const records = JSON.parse(text) as readonly Fields[] | LedgerOperation;
  if (!Array.isArray(records)) return [records as LedgerOperation];
  const operations: LedgerOperation[] = [];
  for (const fields of records as readonly Fields[]) {
    if (fields[0] === END) {
      const [organisationId, attemptId] = [fields[1], fields[2]] as [string, string];
      operations.push({ kind: 'end', organisationId, attemptId, end: endOf(fields, 3) });
      continue;
    }
    const start = startOf(fields);
    operations.push({ kind: 'start', start, enforce: fields[0] === ENFORCED });
    if (fields[0] !== WHOLE) continue;
    const { attemptId, payer } = start;
    const { organisationId } = payer;
    operations.push({ kind: 'end', organisationId, attemptId, end: endOf(fields, 1 + START_FIELDS) });
  }
  return operations;
}

/** Kinds of lists, the first field of each. */
const START = 0;
const ENFORCED = 1;
const END = 2;
const WHOLE = 3;

type Fields = readonly unknown[];
type EndOperation = Extract<LedgerOperation, { kind: 'end' }>;

const START_FIELDS = 15;

function isEndOf(start: AttemptStart, operation: LedgerOperation | undefined): operation is EndOperation {
  return (
    operation?.kind === 'end' &&
    operation.attemptId === start.attemptId &&
    operation.organisationId === start.payer.organisationId
  );
}

function startFields(start: AttemptStart): Fields {
  const { payer } = start;
  return [
    payer.organisationId,
    payer.projectId,
    payer.keyId,
    start.attemptId,
    start.requestId,
    start.attempt,
    start.targetId,
    start.adapterKind,
    start.place,
    start.model,
    start.operation,
    start.stream,
    start.startedAtMs,
    start.reservedNanoUsd,
    start.reservedTokens,
  ];
}

function startOf(fields: Fields): AttemptStart {
  return {
    payer: { organisationId: fields[1], projectId: fields[2], keyId: fields[3] },
    attemptId: fields[4],
    requestId: fields[5],
    attempt: fields[6],
    targetId: fields[7],
    adapterKind: fields[8],
    place: fields[9],
    model: fields[10],
    operation: fields[11],
    stream: fields[12],
    startedAtMs: fields[13],
    reservedNanoUsd: fields[14],
    reservedTokens: fields[15],
  } as AttemptStart;
}

function endFields(end: AttemptEnd): Fields {
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
    end.costNanoUsd,
    end.costSource,
    end.savedNanoUsd,
    end.estimated,
  ];
}

/** One list made at once: most calls are written so, and lists that are put together take twice as long. */
function wholeFields(start: AttemptStart, end: AttemptEnd): Fields {
  const { payer } = start;
  return [
    WHOLE,
    payer.organisationId,
    payer.projectId,
    payer.keyId,
    start.attemptId,
    start.requestId,
    start.attempt,
    start.targetId,
    start.adapterKind,
    start.place,
    start.model,
    start.operation,
    start.stream,
    start.startedAtMs,
    start.reservedNanoUsd,
    start.reservedTokens,
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
    end.costNanoUsd,
    end.costSource,
    end.savedNanoUsd,
    end.estimated,
  ];
}

function endOf(fields: Fields, at: number): AttemptEnd {
  return {
    state: fields[at],
    endedAtMs: fields[at + 1],
    status: fields[at + 2],
    failure: fields[at + 3],
    clientOutcome: fields[at + 4],
    inputTokens: fields[at + 5],
    cachedInputTokens: fields[at + 6],
    outputTokens: fields[at + 7],
    reasoningTokens: fields[at + 8],
    imageTokens: fields[at + 9],
    audioInputTokens: fields[at + 10],
    audioOutputTokens: fields[at + 11],
    costNanoUsd: fields[at + 12],
    costSource: fields[at + 13],
    savedNanoUsd: fields[at + 14],
    estimated: fields[at + 15],
  } as AttemptEnd;
}

/** Operations that were encoded before: a store may take their texts as they are, whoever looks at them decodes them. */
export class EncodedOperations implements LedgerBatch {
  readonly texts: readonly string[];
  readonly length: number;

  /** `length`: operations in all texts together. */
  constructor(texts: readonly string[], length: number) {
    this.texts = texts;
    this.length = length;
  }

  *[Symbol.iterator](): Generator<LedgerOperation> {
    for (const text of this.texts) yield* decodeOperations(text);
  }
}
