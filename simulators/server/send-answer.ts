import { gzipSync } from 'node:zlib';
import type { Fault } from '../fault.ts';
import type { Answer, ConnectionAct, StreamAnswer, StreamItem, WholeAnswer } from './answer.ts';
import { BodyWriter, PLAIN_MANNER, type WriteManner } from './body-writer.ts';
import type { ResponseWire } from './connection.ts';
import type { RequestRecord } from './request-record.ts';
import { sleep, untilGone } from './sleep.ts';

/** Writes an answer, in the manner that the fault (if any) asks for; the fault's other effects are done before. */
export async function sendAnswer(
  wire: ResponseWire,
  answer: Answer,
  fault: Fault | null,
  record: RequestRecord,
): Promise<void> {
  record.status = answer.status;
  if (fault?.kind === 'close-after-answer') wire.closeAfterMs = fault.afterMs;
  if (answer.kind === 'whole') return sendWhole(wire, answer, fault, record);
  try {
    await sendStream(wire, answer, fault, record);
  } finally {
    answer.release?.();
  }
}

async function sendWhole(wire: ResponseWire, answer: WholeAnswer, fault: Fault | null, record: RequestRecord) {
  const zipped = fault?.kind === 'gzip';
  const body = zipped ? gzipSync(answer.body) : answer.body;
  const headers = zipped ? { ...answer.headers, 'content-encoding': 'gzip' } : answer.headers;
  const writer = new BodyWriter(wire, answer.status, headers, Buffer.byteLength(body), mannerOf(fault));
  await writer.write(body);
  await writer.end();
  if (wire.gone.aborted) return;
  record.tokensSent = answer.generated?.tokens ?? 0;
  record.answered = answer.generated?.text ?? '';
}

async function sendStream(wire: ResponseWire, answer: StreamAnswer, fault: Fault | null, record: RequestRecord) {
  const zipped = fault?.kind === 'gzip';
  const headers = zipped ? { ...answer.headers, 'content-encoding': 'gzip' } : answer.headers;
  const writer = new BodyWriter(wire, answer.status, headers, null, mannerOf(fault));
  const encode = encoderOf(fault);
  let collected = '';
  for await (const item of answer.events) {
    if (wire.gone.aborted) return;
    if ('act' in item) return act(item, writer, wire);
    if (zipped) collected += item.text;
    else await writer.write(encode(item.text));
    note(record, item);
    if (writer.ended) return;
  }
  if (zipped) await writer.write(gzipSync(collected));
  await writer.end();
}

function note(record: RequestRecord, item: Exclude<StreamItem, ConnectionAct>): void {
  if (item.content === null || item.content === '') return;
  record.tokensSent++;
  record.answered += item.content;
}

async function act(item: ConnectionAct, writer: BodyWriter, wire: ResponseWire): Promise<void> {
  if (item.act === 'reset') return writer.reset();
  if (item.act === 'cut') return writer.cut();
  await writer.flushHead();
  if (item.commentsEveryMs === null) return untilGone(wire.gone);
  while (!wire.gone.aborted) {
    await writer.write(': still here\n\n');
    await sleep(item.commentsEveryMs, wire.gone);
  }
}

function mannerOf(fault: Fault | null): WriteManner {
  if (fault?.kind === 'reset-after-bytes') return { bytesPerWrite: null, resetAfterBytes: fault.bytes };
  if (fault?.kind === 'split-writes') return { bytesPerWrite: fault.bytesPerWrite ?? 1, resetAfterBytes: null };
  return PLAIN_MANNER;
}

const LINE_ENDINGS = { lf: '\n', crlf: '\r\n', cr: '\r' } as const;

function encoderOf(fault: Fault | null): (text: string) => string {
  if (fault?.kind !== 'split-writes') return (text) => text;
  const ending = LINE_ENDINGS[fault.lineEnding ?? 'lf'];
  let mark = fault.byteOrderMark === true ? '\uFEFF' : '';
  return (text) => {
    const encoded = mark + (ending === '\n' ? text : text.replaceAll('\n', ending));
    mark = '';
    return encoded;
  };
}
