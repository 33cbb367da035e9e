/** The parts of a chat request that a simulated reply depends on, whatever the wire. */
export interface ChatRequest {
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Text of the last message of the user; empty without one. */
  readonly lastUserText: string;
  readonly lastMessageIsFromUser: boolean;
  /** Text of an assistant's message that stands last; null: none does. */
  readonly beginning: string | null;
  /** `continue_final_message`. */
  readonly toldToContinue: boolean;
  /** Say the beginning once more before the rest (`echo`). */
  readonly echo: boolean;
  readonly images: number;
  readonly promptTokens: number;
  /** Infinity: not limited. */
  readonly maxTokens: number;
  readonly stop: readonly string[];
  readonly choiceCount: number;
  /** Null: the model may not call tools. */
  readonly tool: ToolWish | null;
  /** Null: plain text. An empty object: any JSON object. */
  readonly jsonSchema: JsonObject | null;
}

export interface ToolWish {
  readonly name: string;
  readonly parameters: JsonObject;
  /** `tool_choice` demands a call. */
  readonly required: boolean;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Tokens that an image counts for. */
const IMAGE_TOKENS = 85;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  return objects(content)
    .map((part) => (typeof part['text'] === 'string' ? part['text'] : ''))
    .filter((part) => part !== '')
    .join(' ');
}

/** The words of a prompt in order, with who says them: two prompts share what they begin with. */
export function promptWords(body: JsonObject | null): readonly string[] {
  const prompt = textOf(body?.['prompt']);
  const said = objects(body?.['messages']).flatMap((message) => {
    const words = textOf(message['content']).match(/\S+/g) ?? [];
    return words.map((word) => `${message['role']}:${word}`);
  });
  return [...said, ...(prompt.match(/\S+/g) ?? [])];
}

/** One token a word: simple enough to check by hand. */
export function countTokens(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}

/** Reads what an OpenAI chat body asks for; wrong types count as absent. */
export function readChatRequest(body: JsonObject): ChatRequest {
  const messages = objects(body['messages']);
  const users = messages.filter((message) => message['role'] === 'user');
  const images = messages.reduce((sum, message) => sum + countImages(message['content']), 0);
  const words = messages.reduce((sum, message) => sum + countTokens(textOf(message['content'])), 0);
  const tools = body['tools'] === undefined ? 0 : countTokens(JSON.stringify(body['tools']));
  return {
    model: typeof body['model'] === 'string' ? body['model'] : '',
    stream: body['stream'] === true,
    includeUsage: isObject(body['stream_options']) && body['stream_options']['include_usage'] === true,
    lastUserText: textOf(users.at(-1)?.['content']),
    lastMessageIsFromUser: messages.at(-1)?.['role'] === 'user',
    beginning: messages.at(-1)?.['role'] === 'assistant' ? textOf(messages.at(-1)?.['content']) : null,
    toldToContinue: body['continue_final_message'] === true && body['add_generation_prompt'] === false,
    echo: body['echo'] === true,
    images,
    promptTokens: words + images * IMAGE_TOKENS + tools,
    maxTokens: positive(body['max_completion_tokens']) ?? positive(body['max_tokens']) ?? Number.POSITIVE_INFINITY,
    stop: readStop(body['stop']),
    choiceCount: positive(body['n']) ?? 1,
    tool: readTool(body),
    jsonSchema: readSchema(body['response_format']),
  };
}

export function positive(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : null;
}

export function readStop(value: unknown): string[] {
  const list = typeof value === 'string' ? [value] : Array.isArray(value) ? value : [];
  return list.filter((stop): stop is string => typeof stop === 'string' && stop !== '');
}

function countImages(content: unknown): number {
  return objects(content).filter((part) => part['type'] === 'image_url').length;
}

function readTool(body: JsonObject): ToolWish | null {
  const choice = body['tool_choice'];
  if (choice === 'none') return null;
  const functions = objects(body['tools']).flatMap((tool) => (isObject(tool['function']) ? [tool['function']] : []));
  const named = isObject(choice) && isObject(choice['function']) ? choice['function']['name'] : null;
  const wanted = named === null ? functions[0] : functions.find((each) => each['name'] === named);
  if (wanted === undefined || typeof wanted['name'] !== 'string') return null;
  return {
    name: wanted['name'],
    parameters: isObject(wanted['parameters']) ? wanted['parameters'] : {},
    required: choice === 'required' || named !== null,
  };
}

function readSchema(format: unknown): JsonObject | null {
  if (!isObject(format)) return null;
  if (format['type'] === 'json_object') return {};
  if (format['type'] !== 'json_schema' || !isObject(format['json_schema'])) return null;
  return isObject(format['json_schema']['schema']) ? format['json_schema']['schema'] : {};
}
