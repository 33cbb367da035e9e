import { topLevelRanges } from '../../core/json-patch.ts';
import { countOf, type JsonObject, listOf, objectOf, textOf } from '../../core/json-shape.ts';
import { blockCount, blockLength, type PromptFacts, type PromptNeeds } from '../../core/prompt.ts';

const NO_BLOCKS = new Uint32Array(0);

/** What routing looks at of a chat request, from its parsed body and the bytes that it came in. */
export function promptFacts(rawBody: Uint8Array, body: JsonObject, sessionId: string | null): PromptFacts {
  return new ChatPrompt(rawBody, body, sessionId);
}

class ChatPrompt implements PromptFacts {
  readonly bytes: number;
  readonly images: number;
  readonly needs: PromptNeeds;
  readonly maxOutputTokens: number | null;
  readonly #sessionId: string | null;
  #body: JsonObject;
  #rawBody: Uint8Array;
  #conversation: number | null = null;
  #blocks: Uint32Array | null = null;

  constructor(rawBody: Uint8Array, body: JsonObject, sessionId: string | null) {
    const images = countImages(listOf(body['messages']));
    this.images = images.count;
    this.bytes = Math.max(0, rawBody.length - images.bytes);
    this.needs = {
      vision: images.count > 0,
      tools: listOf(body['tools']).length > 0,
      jsonSchema: objectOf(body['response_format'])['type'] === 'json_schema',
    };
    this.maxOutputTokens = countOf(body['max_completion_tokens'], 1) ?? countOf(body['max_tokens'], 1);
    this.#sessionId = sessionId;
    this.#body = body;
    this.#rawBody = rawBody;
  }

  get conversation(): number {
    this.#conversation ??= conversationOf(this.#body, this.#sessionId);
    return this.#conversation;
  }

  get blocks(): Uint32Array {
    this.#blocks ??= blocksOf(this.#rawBody);
    return this.#blocks;
  }
}

/** The session that the client names, else the key of its provider's cache, else how the conversation began. */
function conversationOf(body: JsonObject, sessionId: string | null): number {
  const named = sessionId ?? textOf(body['session_id']) ?? textOf(body['prompt_cache_key']);
  if (named !== null) return Bun.hash.xxHash32(named, 1);
  const messages = listOf(body['messages']).map(objectOf);
  const system = messages.find(({ role }) => role === 'system' || role === 'developer');
  const user = messages.find(({ role }) => role === 'user');
  const begin = JSON.stringify([system?.['content'], user?.['content']]);
  return Bun.hash.xxHash32(begin, 2);
}

/**
 * Over the bytes of `messages` as they came: clients send the earlier turns of a conversation in the same words. Tools
 * stand before them in the prompts of most models, so other tools make other blocks.
 */
function blocksOf(rawBody: Uint8Array): Uint32Array {
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
  return blocks;
}

/** The data of images that stands in the request itself is no text. */
function countImages(messages: readonly unknown[]): { readonly count: number; readonly bytes: number } {
  let count = 0;
  let bytes = 0;
  for (const message of messages) {
    const content = objectOf(message)['content'];
    if (!Array.isArray(content)) continue;
    for (const part of content) {
      const image = imageOf(objectOf(part));
      if (image === null) continue;
      count++;
      if (image.startsWith('data:')) bytes += image.length;
    }
  }
  return { count, bytes };
}

function imageOf(part: JsonObject): string | null {
  if (part['type'] !== 'image_url' && part['type'] !== 'input_image') return null;
  const value = part['image_url'];
  return typeof value === 'string' ? value : (textOf(objectOf(value)['url']) ?? '');
}
