import { answersOf } from '../../core/answer-count.ts';
import type { Purchase } from '../../core/billing.ts';
import { SETTINGS } from '../../core/body-fields.ts';
import { jsonBytes } from '../../core/json-bytes.ts';
import { countOf, isObject, type JsonObject, listOf } from '../../core/json-shape.ts';
import type { InferenceRequest } from '../../core/request.ts';

/** Of ordinary text, at least; code and most languages have more bytes to a token. */
const BYTES_PER_TOKEN = 3;
/** A large image at most tokenizers. Sounds and files may have more. */
const MEDIA_TOKENS = 2_500;

/** Tokens that a call may use; integers ≥ 0. */
export interface TokenBounds {
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** What a call is likely to use, rather too much than too little: for calls that no hard budget waits for. */
export function likelyBounds({ request, promptTokens }: Purchase, usualAnswerTokens: number): TokenBounds {
  const { prompt } = request;
  const atMost = Math.ceil(prompt.mostBytes / BYTES_PER_TOKEN) + prompt.media * MEDIA_TOKENS;
  return {
    promptTokens: Math.max(atMost, Math.ceil(promptTokens)),
    outputTokens: outputTokens(request, answerLimitOf(request) ?? usualAnswerTokens),
  };
}

/**
 * What a call can use at most, if its answers have no more than `answerTokens` each: what is set aside in hard budgets.
 *
 * A token stands for one byte at least, whatever the tokenizer (byte-level ones by their making, SentencePiece with its
 * byte fallback), so text has no more tokens than bytes. That holds for all that the client wrote; what a template adds
 * to it, and what is no text, is bounded by what is known of servers.
 */
export function upperBounds({ request, promptTokens }: Purchase, answerTokens: number): TokenBounds {
  return {
    promptTokens: Math.max(mostPromptTokens(request), Math.ceil(promptTokens)),
    outputTokens: outputTokens(request, answerTokens),
  };
}

/** The client's own limit for each answer, tokens, ≥ 1; null: none that a server would keep to. */
export function answerLimitOf({ body }: Pick<InferenceRequest, 'body'>): number | null {
  const limits = [body['max_completion_tokens'], body['max_tokens']].map((value) => countOf(value, 1));
  const given = limits.filter((limit) => limit !== null);
  return given.length === 0 ? null : Math.max(...given);
}

function outputTokens({ operation, body }: InferenceRequest, answerTokens: number): number {
  if (operation === 'embedding') return 0;
  // What a prediction foretold wrongly is paid for as if it had been written, beside the limit.
  const foretold = body['prediction'] === undefined ? 0 : mostBytes(body['prediction']);
  return answerTokens * answersOf(body) + foretold;
}

/** What templates add unasked: the beginning, the date, that an answer follows. gpt-oss adds most, some 70. */
const TEMPLATE_TOKENS = 64;
/** How to call tools: Claude's explanation is the longest. */
const TOOL_TEMPLATE_TOKENS = 600;
/** Of an image, whatever its size. Providers count less than 5,000, save for gpt-4o-mini, which counts thirty times what gpt-4o does. */
const IMAGE_TOKENS = 10_000;
/** Sounds have at least so many bytes (base64) to a token: 1 kB/s at 32 tokens a second. */
const SOUND_BYTES_PER_TOKEN = 16;
/** Of a file or whatever else, besides the bytes that came with it. */
const FILE_TOKENS = 10_000;
const TEXT_PARTS: ReadonlySet<unknown> = new Set([
  'text',
  'input_text',
  'output_text',
  'refusal',
  'thinking',
  undefined,
]);
const IMAGE_PARTS: ReadonlySet<unknown> = new Set(['image_url', 'input_image', 'image']);

function mostPromptTokens({ body, prompt }: InferenceRequest): number {
  let tokens = TEMPLATE_TOKENS + prompt.repeatedBytes;
  for (const name in body) {
    if (name === 'messages') for (const message of listOf(body[name])) tokens += messageTokens(message);
    else if (!SETTINGS.has(name)) tokens += mostBytes(body[name]);
  }
  return listOf(body['tools']).length === 0 ? tokens : tokens + TOOL_TEMPLATE_TOKENS;
}

/** Parts of the prompt that are pictures, or may be taken for some. */
export function picturesOf({ body }: Pick<InferenceRequest, 'body'>): number {
  let pictures = 0;
  for (const message of listOf(body['messages'])) {
    if (!isObject(message)) continue;
    for (const part of listOf(message['content'])) if (isObject(part) && !isText(part) && !isSound(part)) pictures++;
  }
  return pictures;
}

/** The names of its members stand for what a template puts around it. */
function messageTokens(message: unknown): number {
  if (!isObject(message) || !Array.isArray(message['content'])) return mostBytes(message);
  const { content, ...rest } = message as { readonly content: readonly unknown[] };
  return mostBytes(rest) + content.reduce<number>((sum, part) => sum + partTokens(part), 0);
}

function partTokens(part: unknown): number {
  if (!isObject(part) || isText(part)) return mostBytes(part);
  if (IMAGE_PARTS.has(part['type']) && hasOnly(part, IMAGE_MEMBERS)) return IMAGE_TOKENS;
  if (isSound(part)) return Math.ceil(mostBytes(part) / SOUND_BYTES_PER_TOKEN);
  return FILE_TOKENS + mostBytes(part);
}

/** A part of any other member may be taken for a picture, a film or a sound: vLLM goes by the names when there is no `type`. */
function isText(part: JsonObject): boolean {
  return TEXT_PARTS.has(part['type']) && hasOnly(part, TEXT_MEMBERS);
}

function isSound(part: JsonObject): boolean {
  return part['type'] === 'input_audio' && hasOnly(part, SOUND_MEMBERS);
}

function hasOnly(part: JsonObject, members: ReadonlySet<string>): boolean {
  for (const name in part) if (!members.has(name)) return false;
  return true;
}

const TEXT_MEMBERS: ReadonlySet<string> = new Set([
  ...['type', 'text', 'refusal', 'thinking', 'signature', 'annotations', 'cache_control'],
]);
const IMAGE_MEMBERS: ReadonlySet<string> = new Set([
  ...['type', 'image_url', 'image', 'detail', 'file_id', 'uuid', 'cache_control'],
]);
const SOUND_MEMBERS: ReadonlySet<string> = new Set(['type', 'input_audio', 'uuid', 'cache_control']);

/** As many bytes as it has, or as a tokenizer makes of it. */
function mostBytes(value: unknown): number {
  return jsonBytes(value, mostTextBytes);
}

/**
 * Some tokenizers bring texts into a normal form first, which makes some characters longer: U+FDFA has 3 bytes, and 33 in
 * NFKC (SentencePiece's), U+1D160 has 4, and 12 in NFC (https://unicode.org/faq/normalization.html).
 */
function mostTextBytes(text: string): number {
  const bytes = Buffer.byteLength(text);
  // Plain ASCII is the same in all of them.
  if (bytes === text.length) return bytes;
  return Math.max(bytes, Buffer.byteLength(text.normalize('NFC')), Buffer.byteLength(text.normalize('NFKC')));
}
