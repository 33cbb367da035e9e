import type { StreamBatch, StreamReply, WholeReply } from '../../core/adapter.ts';
import { UpstreamError } from '../../core/failure.ts';
import { isObject, type JsonObject, listOf, textOf } from '../../core/json-shape.ts';
import { finishedWithError, saysSomething } from './chunk-state.ts';
import { findError } from './error-shape.ts';
import { normaliseError } from './errors.ts';
import { canonical } from './stream.ts';
import { readUsage } from './usage.ts';

/** Longest whole reply. */
export const MAX_REPLY_BYTES = 64 * 1024 * 1024;

const decoder = new TextDecoder('utf-8', { ignoreBOM: false });

/** A checked `chat.completion`; its bytes are the upstream's own. */
export interface CheckedReply {
  readonly whole: WholeReply;
  readonly body: JsonObject;
}

/** Checks a whole reply that came with a 2xx: JSON, no error inside, at least one choice with something in it. */
export function checkReply(bytes: Uint8Array, status: number, where: string): CheckedReply {
  const body = parseBody(bytes, where);
  // A partial reply's choice may hold an error beside the text; an error at the top means there is no reply.
  if (findError(body) !== null) throw normaliseError({ status, retryAfterMs: null, body, where });
  if (!isObject(body)) throw malformed(where, 'sent JSON that is not an object');
  const choices = listOf(body['choices']).filter(isObject);
  if (choices.length === 0) throw malformed(where, 'sent a completion without choices');
  for (const choice of choices) if (choice['finish_reason'] === 'error') throw finishedWithError(choice, where);
  const usage = readUsage(body['usage'], body['timings']);
  if (!choices.some(answers) && (usage?.completionTokens ?? 0) === 0) {
    throw malformed(where, 'sent an empty completion');
  }
  const producedTokens = usage?.completionTokens ?? Math.ceil(bytes.length / BYTES_A_TOKEN);
  return { whole: { kind: 'whole', bytes, model: textOf(body['model']) ?? '', usage, producedTokens }, body };
}

function parseBody(bytes: Uint8Array, where: string): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch (error) {
    throw malformed(where, 'sent a reply that is not JSON', error);
  }
}

/** Azure's output filter leaves the message empty and says so. */
function answers(choice: JsonObject): boolean {
  const { message } = choice;
  return (isObject(message) && saysSomething(message)) || choice['finish_reason'] === 'content_filter';
}

function malformed(where: string, what: string, cause?: unknown): UpstreamError {
  return new UpstreamError('malformed', `${where} ${what}`, { cause });
}

/** A whole reply given to a client that asked for a stream (faults F-18): the server ignored `stream`. */
export class ReplyAsStream implements StreamReply {
  readonly kind = 'stream';
  readonly model: string;
  readonly usage: WholeReply['usage'];
  readonly producedTokens: number;
  readonly isComplete = true;
  #bytes: Uint8Array | null;

  constructor({ whole, body }: CheckedReply, includeUsage: boolean) {
    this.model = whole.model;
    this.usage = whole.usage;
    this.producedTokens = whole.producedTokens;
    this.#bytes = chunksOf(body, includeUsage);
  }

  async next(): Promise<StreamBatch | null> {
    const bytes = this.#bytes;
    this.#bytes = null;
    return bytes === null ? null : { bytes, hasContent: true };
  }

  cancel(): void {
    this.#bytes = null;
  }
}

/** The chunks a server would have streamed: each choice's message, then its finish, then the usage if asked for. */
function chunksOf(body: JsonObject, includeUsage: boolean): Uint8Array {
  const { choices, usage, ...top } = body;
  const head = { ...top, object: 'chat.completion.chunk' };
  const events: Uint8Array[] = [];
  const send = (chunk: object): void => void events.push(canonical(JSON.stringify(chunk)));
  const list = listOf(choices).filter(isObject);
  for (const { message, finish_reason, ...choice } of list) {
    send({ ...head, choices: [{ ...choice, delta: deltaOf(message), finish_reason: null }] });
    send({ ...head, choices: [{ index: choice['index'] ?? 0, delta: {}, finish_reason: finish_reason ?? 'stop' }] });
  }
  if (includeUsage && usage !== undefined) send({ ...head, choices: [], usage });
  return Buffer.concat(events);
}

/** In a stream each tool call carries the index of its place. */
function deltaOf(message: unknown): unknown {
  if (!isObject(message) || !Array.isArray(message['tool_calls'])) return message;
  const tool_calls = message['tool_calls'].map((call, index) => (isObject(call) ? { index, ...call } : call));
  return { ...message, tool_calls };
}

/** Of JSON around an answer, bytes a token. */
const BYTES_A_TOKEN = 6;
