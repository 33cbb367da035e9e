import { UpstreamError } from '../../core/failure.ts';
import { countOf, isObject, type JsonObject, textOf } from '../../core/json-shape.ts';
import type { Usage } from '../../core/usage.ts';
import { findError } from './error-shape.ts';
import { normaliseError } from './errors.ts';
import { readUsage } from './usage.ts';

/** What one chunk of a stream is, for whoever passes it on. */
export interface ChunkFacts {
  readonly chunk: JsonObject;
  /** Real text, reasoning, a tool call, a refusal or audio. */
  readonly hasContent: boolean;
  /** It carries a usage that is not null. */
  readonly hasUsage: boolean;
  /** It has at least one choice. */
  readonly hasChoices: boolean;
}

const NONE: readonly number[] = [];

/** Reads the chunks of one stream in order: its errors, its usage, its content and whether it ended properly. */
export class ChunkState {
  model = '';
  usage: Usage | null = null;
  /** Chunks with content so far. */
  contents = 0;
  /** Characters in them. */
  #characters = 0;
  /** The end marker came. */
  done = false;
  readonly #where: string;
  /** Indexes of choices; lists, because a stream has one or a few and thousands of streams are open at once. */
  #open: readonly number[] = NONE;
  #finished: readonly number[] = NONE;
  #sawFilter = false;
  /** The choice opened last: nearly every chunk is for the same one. */
  #lastOpened = -1;

  constructor(where: string) {
    this.#where = where;
  }

  /** About how many tokens came: one a chunk, or more where a server sends many in one. */
  get producedTokens(): number {
    return Math.max(this.contents, Math.ceil(this.#characters / CHARACTERS_PER_TOKEN));
  }

  /** All of the answer came: the end marker, or the end of each choice. */
  get isComplete(): boolean {
    return this.done || (this.#finished.length > 0 && this.#open.length === 0);
  }

  /** One event's data; null for the end marker and what follows it. Throws an UpstreamError for an error event or bad JSON. */
  take(type: string, data: string): ChunkFacts | null {
    if (this.done) return null;
    // Some servers add spaces to the marker or more text behind it.
    if (data.startsWith('[DONE]')) {
      this.done = true;
      return null;
    }
    const chunk = parseChunk(data, this.#where);
    if (type === 'error' || ('error' in chunk && chunk['error'] !== null) || chunk['object'] === 'error') {
      this.#throwError(type, chunk);
    }
    if (this.model === '') this.model = textOf(chunk['model']) ?? '';
    const usage = readUsage(chunk['usage'], chunk['timings']);
    if (usage !== null) this.usage = usage;
    const choices = chunk['choices'];
    let hasContent = false;
    let hasChoices = false;
    if (Array.isArray(choices)) {
      for (const choice of choices) {
        if (!isObject(choice)) continue;
        hasChoices = true;
        if (this.#choice(choice)) hasContent = true;
      }
    }
    if (hasContent) this.contents++;
    return { chunk, hasContent, hasUsage: usage !== null, hasChoices };
  }

  /** Throws when the stream may not end here: cut short, or nothing in it. */
  checkEnd(): void {
    if (!this.isComplete) {
      throw new UpstreamError('truncated', `${this.#where} ended its stream without an end marker`);
    }
    if (this.contents > 0 || this.#sawFilter) return;
    // A model may rightly say nothing, but then it says that it stopped and what it used.
    if (this.#finished.length > 0 && (this.usage?.completionTokens ?? 0) >= 1) return;
    throw new UpstreamError('malformed', `${this.#where} sent an empty completion`);
  }

  /** Returns whether the choice holds content. */
  #choice(choice: JsonObject): boolean {
    const index = countOf(choice['index']) ?? 0;
    const reason = choice['finish_reason'];
    if (typeof reason === 'string' && reason !== '') {
      if (reason === 'error') throw finishedWithError(choice, this.#where);
      if (reason === 'content_filter') this.#sawFilter = true;
      if (!this.#finished.includes(index)) this.#finished = [...this.#finished, index];
      this.#open = this.#open.filter((other) => other !== index);
    } else if (index !== this.#lastOpened) {
      this.#lastOpened = index;
      if (!this.#finished.includes(index) && !this.#open.includes(index)) this.#open = [...this.#open, index];
    }
    const said = choice['delta'] ?? choice['message'];
    if (!isObject(said)) return false;
    this.#characters += charactersOf(said);
    return saysSomething(said);
  }

  #throwError(type: string, chunk: JsonObject): never {
    const body = findError(chunk) === null && type === 'error' ? { error: chunk } : chunk;
    throw normaliseError({ status: null, retryAfterMs: null, body, where: this.#where });
  }
}

function parseChunk(data: string, where: string): JsonObject {
  let chunk: unknown;
  try {
    chunk = JSON.parse(data);
  } catch (error) {
    throw new UpstreamError('malformed', `${where} sent an event that is not JSON`, { cause: error });
  }
  if (!isObject(chunk)) throw new UpstreamError('malformed', `${where} sent an event that is not a JSON object`);
  return chunk;
}

/** Does a delta or a message hold anything that a client could show or act on? */
export function saysSomething(said: JsonObject): boolean {
  return (
    notEmpty(said['content']) ||
    notEmpty(said['tool_calls']) ||
    notEmpty(said['reasoning_content']) ||
    notEmpty(said['reasoning']) ||
    notEmpty(said['refusal']) ||
    isObject(said['function_call']) ||
    isObject(said['audio'])
  );
}

/** Of ordinary text, about; most languages and code have fewer. */
const CHARACTERS_PER_TOKEN = 4;

/** In all that a model wrote, its calls of tools too. */
function charactersOf(said: JsonObject): number {
  let characters =
    lengthOf(said['content']) +
    (lengthOf(said['reasoning_content']) || lengthOf(said['reasoning'])) +
    lengthOf(said['refusal']);
  const calls = said['tool_calls'];
  if (Array.isArray(calls)) {
    for (const call of calls) if (isObject(call)) characters += calledCharacters(call['function']);
  }
  return characters + calledCharacters(said['function_call']);
}

function calledCharacters(called: unknown): number {
  return isObject(called) ? lengthOf(called['name']) + lengthOf(called['arguments']) : 0;
}

function lengthOf(value: unknown): number {
  return typeof value === 'string' ? value.length : 0;
}

/** A non-empty text or list. */
function notEmpty(value: unknown): boolean {
  return (typeof value === 'string' || Array.isArray(value)) && value.length > 0;
}

/** OpenRouter's way to say that a provider broke off: the reason is `error`, the error stands in the choice. */
export function finishedWithError(choice: JsonObject, where: string): UpstreamError {
  if (findError(choice) !== null) {
    return normaliseError({ status: null, retryAfterMs: null, body: choice, where });
  }
  return new UpstreamError('failed', `${where} broke off: the choice finished with an error`);
}
