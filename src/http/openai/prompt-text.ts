import { jsonBytes } from '../../core/json-bytes.ts';
import { isObject, type JsonObject, listOf, objectOf, textOf } from '../../core/json-shape.ts';

/** What a request shows to the model, as far as it is text. */
export interface PromptText {
  /** Of the messages that every template shows to the model, as it reads them: without JSON's escapes. */
  readonly texts: readonly string[];
  /** UTF-8 of `texts`, of what templates put around each message, and of the tools. */
  readonly bytes: number;
  readonly images: number;
  /** The same with all that only some servers read: earlier thoughts, `functions`, schemas, predictions, further texts of parts. */
  readonly mostBytes: number;
  /** Parts that are no text: images, audio, files. */
  readonly media: number;
  /** Messages of the model's own: turns before this one. */
  readonly earlierTurns: number;
}

/** What a chat template puts around a message: some 4 tokens. */
const MESSAGE_BYTES = 16;

/**
 * Only what a chat template gives to the model counts: settings, metadata, and white space of the JSON are no prompt.
 * Earlier thoughts are none either: templates drop them (Qwen 3, DeepSeek-R1).
 */
export function readPromptText(body: JsonObject): PromptText {
  const reader = new Reader();
  for (const message of listOf(body['messages'])) reader.message(objectOf(message));
  const tools = listOf(body['tools']);
  const toolBytes = tools.length === 0 ? 0 : jsonBytes(tools);
  const { texts, bytes, images, media, earlierTurns } = reader;
  const rest = ['functions', 'response_format', 'prediction', 'documents'].reduce(
    (sum, name) => sum + (body[name] === undefined ? 0 : jsonBytes(body[name])),
    0,
  );
  const mostBytes = bytes + toolBytes + reader.hidden + rest;
  return { texts, bytes: bytes + toolBytes, mostBytes, images, media, earlierTurns };
}

class Reader {
  readonly texts: string[] = [];
  #role: unknown = null;
  bytes = 0;
  /** Bytes of thoughts that some templates drop. */
  hidden = 0;
  images = 0;
  media = 0;
  earlierTurns = 0;

  message(message: JsonObject): void {
    const { content, role } = message as { content?: unknown; role?: unknown };
    this.bytes += MESSAGE_BYTES;
    this.#role = role;
    if (role === 'assistant') this.earlierTurns++;
    if (typeof content === 'string') this.#text(content);
    else if (Array.isArray(content)) {
      // A body may have millions of parts that are none.
      for (const part of content) if (isObject(part)) this.#part(part);
    }
    for (const call of listOf(message['tool_calls'])) this.bytes += jsonBytes(objectOf(call)['function']);
  }

  #part(part: JsonObject): void {
    const text = textOf(part['text']) ?? textOf(part['refusal']);
    const isText = ['text', 'input_text', 'refusal', undefined].includes(part['type'] as string | undefined);
    if (text !== null && isText) {
      this.#text(text);
      return;
    }
    this.media++;
    if (part['type'] === 'image_url' || part['type'] === 'input_image') this.images++;
  }

  #text(said: string): void {
    const text = this.#role === 'assistant' ? afterThoughts(said) : said;
    this.hidden += Buffer.byteLength(said) - Buffer.byteLength(text);
    if (text.length === 0) return;
    this.bytes += Buffer.byteLength(text);
    // Many templates drop what functions said, the forerunners of tools.
    if (this.#role !== 'function') this.texts.push(text);
  }
}

const END_OF_THOUGHTS = '</think>';

function afterThoughts(content: string): string {
  // Looking from the end is far slower, and nearly no answer has any.
  if (!content.includes(END_OF_THOUGHTS)) return content;
  return content.slice(content.lastIndexOf(END_OF_THOUGHTS) + END_OF_THOUGHTS.length);
}
