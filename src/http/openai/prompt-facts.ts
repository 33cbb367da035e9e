import { topLevelRanges } from '../../core/json-patch.ts';
import { countOf, type JsonObject, listOf, objectOf, textOf } from '../../core/json-shape.ts';
import { blockCount, blockLength, type PromptFacts, type PromptNeeds } from '../../core/prompt.ts';
import { readPromptText } from './prompt-text.ts';
import { changingShare, countWords } from './text-measure.ts';

type Blocked = Pick<PromptFacts, 'blocks' | 'sentBytes'>;

const NO_BLOCKS: Blocked = { blocks: new Uint32Array(0), sentBytes: 0 };

/**
 * What routing looks at of a chat request, from its parsed body and the bytes that it came in.
 * @param hasRepeats some member of a schema or the like is there twice
 */
export function promptFacts(
  rawBody: Uint8Array,
  body: JsonObject,
  sessionId: string | null,
  hasRepeats = false,
): PromptFacts {
  return new ChatPrompt(rawBody, body, sessionId, hasRepeats);
}

class ChatPrompt implements PromptFacts {
  readonly bytes: number;
  readonly mostBytes: number;
  readonly repeatedBytes: number;
  readonly media: number;
  readonly earlierTurns: number;
  readonly cutOnRequest: boolean;
  readonly needs: PromptNeeds;
  readonly maxOutputTokens: number | null;
  readonly #sessionId: string | null;
  readonly #body: JsonObject;
  readonly #rawBody: Uint8Array;
  readonly #texts: readonly string[];
  #conversation: number | null = null;
  #changingShare: number | null = null;
  #blocked: Blocked | null = null;

  constructor(rawBody: Uint8Array, body: JsonObject, sessionId: string | null, hasRepeats: boolean) {
    const { texts, bytes, mostBytes, images, media, earlierTurns } = readPromptText(body);
    this.bytes = bytes;
    this.repeatedBytes = hasRepeats ? rawBody.length : 0;
    this.mostBytes = mostBytes + this.repeatedBytes;
    this.media = media;
    this.earlierTurns = earlierTurns;
    this.cutOnRequest = asksToCut(body);
    this.needs = {
      vision: images > 0,
      tools: listOf(body['tools']).length > 0,
      jsonSchema: objectOf(body['response_format'])['type'] === 'json_schema',
    };
    // Which of the two counts where both are given is the server's choice.
    const limits = [countOf(body['max_completion_tokens'], 1), countOf(body['max_tokens'], 1)].filter(
      (limit) => limit !== null,
    );
    this.maxOutputTokens = limits.length === 0 ? null : Math.max(...limits);
    this.#sessionId = sessionId;
    this.#body = body;
    this.#rawBody = rawBody;
    this.#texts = texts;
  }

  get conversation(): number {
    this.#conversation ??= conversationOf(this.#body, this.#sessionId);
    return this.#conversation;
  }

  get blocks(): Uint32Array {
    this.#blocked ??= blocksOf(this.#rawBody);
    return this.#blocked.blocks;
  }

  get sentBytes(): number {
    this.#blocked ??= blocksOf(this.#rawBody);
    return this.#blocked.sentBytes;
  }

  words(atMost: number): number {
    return countWords(this.#texts, atMost);
  }

  isLongerThan(bytes: number): boolean {
    if (this.bytes <= bytes) return false;
    this.#changingShare ??= changingShare(this.#texts);
    return this.bytes * this.#changingShare > bytes;
  }
}

/** vLLM's `truncate_prompt_tokens`, and OpenRouter's middle-out. */
function asksToCut(body: JsonObject): boolean {
  return typeof body['truncate_prompt_tokens'] === 'number' || listOf(body['transforms']).length > 0;
}

/** The session that the client names, else the key of its provider's cache, else how the conversation began. */
function conversationOf(body: JsonObject, sessionId: string | null): number {
  const named = sessionId ?? textOf(body['session_id']) ?? textOf(body['prompt_cache_key']);
  if (named !== null) return Bun.hash.xxHash32(named, 1);
  const messages = listOf(body['messages']).map(objectOf);
  const system = messages.find(({ role }) => role === 'system' || role === 'developer');
  const user = messages.find(({ role }) => role === 'user');
  const begin = JSON.stringify([beginOf(system?.['content']), beginOf(user?.['content'])]);
  return Bun.hash.xxHash32(begin, 2);
}

/** Characters of one text; more need not be looked at to tell conversations apart. */
const TELLING_LENGTH = 4_096;
const TELLING_PARTS = 16;

/** A body may have 30 MB, and a prompt that long begins like no other. */
function beginOf(content: unknown): unknown {
  if (typeof content === 'string') return [content.slice(0, TELLING_LENGTH), content.length];
  if (!Array.isArray(content)) return null;
  const parts = content.slice(0, TELLING_PARTS).map(objectOf);
  return parts.map((part) => beginOf(textOf(part['text']) ?? imageOf(part)));
}

/**
 * Over the bytes of `messages` as they came: clients send the earlier turns of a conversation in the same words. Tools
 * stand before them in the prompts of most models, so other tools make other blocks.
 */
function blocksOf(rawBody: Uint8Array): Blocked {
  const ranges = topLevelRanges(rawBody, ['messages', 'tools']);
  const { messages, tools } = ranges;
  if (messages === undefined) return NO_BLOCKS;
  let hash = tools === undefined ? 0 : Bun.hash.xxHash32(rawBody.subarray(tools.start, tools.end), 0);
  const blocks = new Uint32Array(blockCount(messages.end - messages.start));
  let at = messages.start;
  for (let index = 0; index < blocks.length; index++) {
    const end = at + blockLength(index);
    hash = Bun.hash.xxHash32(rawBody.subarray(at, end), hash);
    blocks[index] = hash;
    at = end;
  }
  return { blocks, sentBytes: messages.end - messages.start };
}

function imageOf(part: JsonObject): string | null {
  const value = part['image_url'];
  return textOf(value) ?? textOf(objectOf(value)['url']);
}
