import type { WholeReply } from '../../core/adapter.ts';
import { UpstreamError } from '../../core/failure.ts';
import { countOf, isObject, type JsonObject, listOf } from '../../core/json-shape.ts';
import { EventSource, NO_COMMENT_LIVES, type StreamContext } from './event-source.ts';
import type { SseSink } from './sse-parser.ts';

type Bag = Record<string, unknown>;

/** Without a prototype: a server may call a field `__proto__`, which is then a field as any other. */
const bagOf = (fields: JsonObject = {}): Bag => Object.assign(Object.create(null) as Bag, fields);

interface ChoiceParts {
  readonly index: number;
  /** Fields of the choice other than delta, as last sent. */
  readonly fields: Bag;
  /** Fields of the message other than the ones below, as last sent. */
  readonly message: Bag;
  /** Texts that arrive in pieces: content, reasoning_content, reasoning, refusal. */
  readonly texts: Map<string, string[]>;
  readonly toolCalls: ToolCallParts[];
}

interface ToolCallParts {
  readonly index: number;
  readonly fields: Bag;
  readonly function: Bag;
  readonly arguments: string[];
}

/** How a server's whole replies look where its streams do not tell. */
export interface WholeManner {
  /** `content` when there are only tool calls. */
  readonly silentContent: string | null;
  /** Tool calls keep the `index` that streams need. */
  readonly indexedToolCalls: boolean;
}

export const OPENAI_MANNER: WholeManner = { silentContent: null, indexedToolCalls: false };

/** Fields of a delta that are pieces of a text; all others replace what came before. */
const TEXT_FIELDS = new Set(['content', 'reasoning_content', 'reasoning', 'refusal']);

/** Fields of a streamed choice that have no place in a whole one. Azure's offsets tell which part of a stream was checked. */
const STREAM_ONLY_FIELDS = new Set(['index', 'content_filter_offsets']);

/** Puts the chunks of one stream together to the `chat.completion` that the server would have sent whole. */
export class Assembler {
  readonly #top = bagOf();
  readonly #manner: WholeManner;
  readonly #choices = new Map<number, ChoiceParts>();

  constructor(manner: WholeManner = OPENAI_MANNER) {
    this.#manner = manner;
  }

  add(chunk: JsonObject): void {
    const top = this.#top;
    // for-in, here and below, because it makes no list of pairs for each chunk.
    for (const field in chunk) {
      const value = chunk[field];
      if (field === 'choices') for (const choice of listOf(value)) this.#addChoice(choice);
      // Nearly all fields are the same in every chunk.
      else if (value === top[field] && value !== undefined) continue;
      // `usage: null` stands in every chunk but the last; an empty id or model in Azure's first.
      else if ((value !== null && value !== '') || !(field in top)) top[field] = value;
    }
  }

  result(): Bag {
    const { usage, ...top } = this.#top;
    const choices = [...this.#choices.values()]
      .sort((one, other) => one.index - other.index)
      .map((parts) => choiceOf(parts, this.#manner));
    const reply: Bag = { ...top, object: 'chat.completion', choices };
    if (usage !== undefined && usage !== null) reply['usage'] = usage;
    return reply;
  }

  #addChoice(choice: unknown): void {
    if (!isObject(choice)) return;
    const index = countOf(choice['index']) ?? 0;
    let parts = this.#choices.get(index);
    if (parts === undefined) {
      parts = { index, fields: bagOf(), message: bagOf(), texts: new Map(), toolCalls: [] };
      this.#choices.set(index, parts);
    }
    for (const field in choice) {
      const value = choice[field];
      if (field === 'delta' || field === 'message') addDelta(parts, value);
      else if (value === null && parts.fields[field] !== undefined) continue;
      else if (!STREAM_ONLY_FIELDS.has(field) && says(value, parts.fields[field])) parts.fields[field] = value;
    }
  }
}

/** Does a value replace the one before it? An empty one (null, Azure's `{}` beside a finish) only fills a gap. */
function says(value: unknown, known: unknown): boolean {
  if (known === undefined) return true;
  return value !== null && !(isObject(value) && Object.keys(value).length === 0);
}

function addDelta(parts: ChoiceParts, delta: unknown): void {
  if (!isObject(delta)) return;
  for (const field in delta) {
    const value = delta[field];
    if (field === 'tool_calls') for (const call of listOf(value)) addToolCall(parts, call);
    else if (TEXT_FIELDS.has(field) && typeof value === 'string') {
      const pieces = parts.texts.get(field);
      if (pieces === undefined) parts.texts.set(field, [value]);
      else pieces.push(value);
    } else if (field === 'function_call' && isObject(value)) addFunctionCall(parts, value);
    else if (field === 'reasoning_details') parts.message[field] = joinDetails(parts.message[field], value);
    else if (value !== null || !(field in parts.message)) parts.message[field] = value;
  }
}

function addToolCall(parts: ChoiceParts, call: unknown): void {
  if (!isObject(call)) return;
  const index = countOf(call['index']) ?? parts.toolCalls.length;
  let known = parts.toolCalls.findLast((other) => other.index === index);
  // Some servers number every call 0 and send each whole: another id is another call.
  if (known === undefined || isOther(known.fields['id'], call['id'])) {
    known = { index, fields: bagOf(), function: bagOf(), arguments: [] };
    parts.toolCalls.push(known);
  }
  for (const [field, value] of Object.entries(call)) {
    if (field === 'index') continue;
    if (field === 'function' && isObject(value)) addFunction(known, value);
    else if (value !== null && value !== '') known.fields[field] = value;
  }
}

function isOther(known: unknown, id: unknown): boolean {
  return typeof id === 'string' && id !== '' && typeof known === 'string' && known !== id;
}

function addFunction(known: ToolCallParts, value: JsonObject): void {
  for (const [field, part] of Object.entries(value)) {
    if (field === 'arguments' && typeof part === 'string') known.arguments.push(part);
    // The name comes once; servers that repeat it in each fragment send it whole or empty.
    else if (part !== null && part !== '') known.function[field] = part;
  }
}

function addFunctionCall(parts: ChoiceParts, value: JsonObject): void {
  const known = isObject(parts.message['function_call']) ? parts.message['function_call'] : {};
  const argumentsSoFar = typeof known['arguments'] === 'string' ? known['arguments'] : '';
  const more = typeof value['arguments'] === 'string' ? value['arguments'] : '';
  parts.message['function_call'] = { ...known, ...value, arguments: argumentsSoFar + more };
}

/** OpenRouter's reasoning details come as a list per chunk: entries with one index are pieces of one text. */
function joinDetails(known: unknown, value: unknown): unknown {
  const joined: Bag[] = listOf(known).map((detail) => bagOf(detail as Bag));
  for (const detail of listOf(value)) {
    if (!isObject(detail)) continue;
    const same = joined.find((other) => other['index'] === detail['index'] && other['type'] === detail['type']);
    if (same === undefined) joined.push(bagOf(detail));
    else for (const [field, part] of Object.entries(detail)) same[field] = joinField(field, same[field], part);
  }
  return joined;
}

function joinField(field: string, known: unknown, part: unknown): unknown {
  const isText = field === 'text' || field === 'summary' || field === 'data';
  if (isText && typeof known === 'string' && typeof part === 'string') return known + part;
  return part === null && known !== undefined ? known : part;
}

function choiceOf(parts: ChoiceParts, manner: WholeManner): Bag {
  const message: Bag = { role: 'assistant', ...parts.message };
  for (const [field, pieces] of parts.texts) message[field] = pieces.join('');
  const toolCalls = parts.toolCalls
    .toSorted((one, other) => one.index - other.index)
    .map((call) => toolCallOf(call, manner));
  if (toolCalls.length > 0) {
    message['tool_calls'] = toolCalls;
    // What the role chunk opens with says nothing of what the whole reply has.
    if (!message['content']) message['content'] = manner.silentContent;
  } else message['content'] ??= '';
  return { index: parts.index, message, ...parts.fields };
}

function toolCallOf(call: ToolCallParts, manner: WholeManner): Bag {
  const fields = manner.indexedToolCalls ? { index: call.index, ...call.fields } : call.fields;
  if (call.arguments.length === 0 && Object.keys(call.function).length === 0) return fields;
  return { ...fields, function: { ...call.function, arguments: call.arguments.join('') } };
}

/** Feeds an Assembler from the wire. */
class AssemblingSink implements SseSink {
  readonly assembler: Assembler;
  readonly source: EventSource;

  constructor(context: StreamContext, manner: WholeManner) {
    this.assembler = new Assembler(manner);
    this.source = new EventSource(context, this, NO_COMMENT_LIVES);
  }

  event(type: string, data: string): void {
    const facts = this.source.state.take(type, data);
    if (facts !== null) this.assembler.add(facts.chunk);
  }
}

const encoder = new TextEncoder();
/** Each token comes in an event of some two hundred bytes: this is room for replies of a hundred thousand tokens. */
const MAX_STREAM_BYTES = 64 * 1024 * 1024;

/** Reads a stream to its end under its clocks and gives the whole reply. Rejects only with UpstreamError. */
export async function assembleReply(
  context: StreamContext,
  manner: WholeManner,
  onFirstContent: () => void,
): Promise<WholeReply> {
  let hasBegun = false;
  const { assembler, source } = new AssemblingSink(context, manner);
  try {
    for (let received = 0; !source.ended; ) {
      const bytes = await source.pull();
      received += bytes.value?.length ?? 0;
      // A model that never stops would fill the memory until the request clock ends it.
      if (received > MAX_STREAM_BYTES) {
        throw new UpstreamError('malformed', `${context.where} sent more than ${MAX_STREAM_BYTES} bytes for one reply`);
      }
      source.accept(bytes);
      if (!hasBegun && source.state.contents > 0) {
        hasBegun = true;
        onFirstContent();
      }
    }
  } catch (error) {
    throw source.fail(error);
  }
  const bytes = encoder.encode(JSON.stringify(assembler.result()));
  const { model, usage, producedTokens } = source.state;
  return { kind: 'whole', bytes, model, usage, producedTokens: usage?.completionTokens ?? producedTokens };
}
