import { type ChatRequest, countTokens } from './chat-request.ts';
import { minimalInstance } from './schema-instance.ts';

/** A reply decided in full before its first byte: the whole form and the streamed form are two ways to write it. */
export interface ChatPlan {
  readonly choices: readonly PlannedChoice[];
  readonly promptTokens: number;
  /** Tokens of the prompt that were in the slot's cache and that the wire tells of; known once the answer has begun. */
  cachedTokens: number;
  readonly completionTokens: number;
  readonly reasoningTokens: number;
}

export interface PlannedChoice {
  readonly index: number;
  /** Pieces of one token each; joined they are the text. */
  readonly reasoning: readonly string[];
  readonly content: readonly string[];
  readonly toolCall: PlannedToolCall | null;
  readonly finishReason: 'stop' | 'length' | 'tool_calls';
}

export interface PlannedToolCall {
  readonly id: string;
  readonly name: string;
  readonly argumentPieces: readonly string[];
}

const WORDS =
  'amber birch cedar delta ember fjord grove harbor island juniper kestrel lagoon meadow nectar orchid pebble quartz river summit thistle umber valley willow yarrow zephyr'.split(
    ' ',
  );
const REASONING = 'First weigh the question, then answer it. ';
const ARGUMENT_PIECE_LENGTH = 6;

/** Deterministic: the same request gets the same plan, streamed or not. */
export function planChat(request: ChatRequest, settings: { replyTokens: number; reply: string | null }): ChatPlan {
  const choices = Array.from({ length: request.choiceCount }, (_, index) => planChoice(request, settings, index));
  const reasoningTokens = choices.reduce((sum, choice) => sum + choice.reasoning.length, 0);
  return {
    choices,
    promptTokens: request.promptTokens,
    cachedTokens: 0,
    completionTokens: choices.reduce((sum, choice) => sum + tokensOf(choice), 0),
    reasoningTokens,
  };
}

export function tokensOf(choice: PlannedChoice): number {
  const said = choice.reasoning.length + choice.content.length + (choice.toolCall?.argumentPieces.length ?? 0);
  // Real servers count the token that ends an answer; here it counts where there is no other.
  return Math.max(1, said);
}

function planChoice(
  request: ChatRequest,
  settings: { replyTokens: number; reply: string | null },
  index: number,
): PlannedChoice {
  const reasoning = /\bthink\b/i.test(request.lastUserText) ? pieces(REASONING) : [];
  const keptReasoning = reasoning.slice(0, request.maxTokens);
  const toolCall = planToolCall(request, index);
  if (toolCall !== null) {
    return { index, reasoning: keptReasoning, content: [], toolCall, finishReason: 'tool_calls' };
  }
  const text = rest(cutAtStop(replyText(request, settings, index), request.stop), request.beginning);
  const all = pieces(text);
  const said = all.slice(0, Math.max(0, request.maxTokens - keptReasoning.length));
  const cut = said.length < all.length || keptReasoning.length < reasoning.length;
  const content = request.echo && request.beginning !== null ? [...pieces(request.beginning), ...said] : said;
  return { index, reasoning: keptReasoning, content, toolCall: null, finishReason: cut ? 'length' : 'stop' };
}

function planToolCall(request: ChatRequest, index: number): PlannedToolCall | null {
  const { tool } = request;
  if (tool === null) return null;
  const asked = request.lastMessageIsFromUser && /use tool/i.test(request.lastUserText);
  if (!tool.required && !asked) return null;
  const json = JSON.stringify(minimalInstance(tool.parameters));
  const argumentPieces = json.match(new RegExp(`.{1,${ARGUMENT_PIECE_LENGTH}}`, 'gs')) ?? [];
  return {
    id: `call_${hash(`${tool.name}${request.lastUserText}${index}`).toString(36)}`,
    name: tool.name,
    argumentPieces,
  };
}

function replyText(
  request: ChatRequest,
  settings: { replyTokens: number; reply: string | null },
  index: number,
): string {
  if (request.jsonSchema !== null) return JSON.stringify(minimalInstance(request.jsonSchema));
  const canary = request.lastUserText.match(/canary:[\w-]+/)?.[0];
  const opening = canary === undefined ? [] : [canary];
  if (request.images > 0) opening.push(`images:${request.images}`);
  if (settings.reply !== null) return [...opening, settings.reply].join(' ');
  const start = hash(request.lastUserText) + index * 7;
  const missing = Math.max(0, settings.replyTokens - opening.length);
  const filler = Array.from({ length: missing }, (_, word) => WORDS[(start + word * 3) % WORDS.length]);
  return [...opening, ...filler].join(' ');
}

/** What is left of the answer behind a beginning that it has already; another beginning is followed by all of it. */
function rest(text: string, beginning: string | null): string {
  return beginning !== null && text.startsWith(beginning) ? text.slice(beginning.length) : text;
}

function cutAtStop(text: string, stops: readonly string[]): string {
  const ends = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
  return ends.length === 0 ? text : text.slice(0, Math.min(...ends));
}

/** Each piece is a word with the white space after it, so that tokens are words. */
export function pieces(text: string): string[] {
  return countTokens(text) === 0 ? [] : (text.match(/\s*\S+\s*/g) ?? []);
}

/** FNV-1a. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return value;
}
