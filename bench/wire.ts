/** The bytes that every part of the bench sends: fixed, so that runs on different days stay comparable. */

export const MODEL = 'bench-model';
/** What a stream's content events hold, and what the load generator looks for to time the first token. */
export const TOKEN = 'token';

const REQUEST_BYTES = 340;
const REPLY_BYTES = 614;
const ID = 'chatcmpl-bench0000000000000000000';
const CREATED = 1_700_000_000;
const USAGE = { prompt_tokens: 60, completion_tokens: 40, total_tokens: 100 };

/** A chat request of exactly 340 bytes. */
export function requestBody(stream: boolean): string {
  const body = (prompt: string): string =>
    JSON.stringify({
      model: MODEL,
      messages: [
        { role: 'system', content: 'You are a helpful assistant.' },
        { role: 'user', content: prompt },
      ],
      temperature: 0.7,
      max_tokens: 256,
      stream,
    });
  return body(padding('Say in a few sentences why the sky is blue. ', REQUEST_BYTES - body('').length));
}

/** A whole reply of exactly 614 bytes. */
export function wholeReply(): string {
  const reply = (content: string): string =>
    JSON.stringify({
      id: ID,
      object: 'chat.completion',
      created: CREATED,
      model: MODEL,
      choices: [{ index: 0, message: { role: 'assistant', content }, logprobs: null, finish_reason: 'stop' }],
      usage: USAGE,
    });
  return reply(padding('The sky is blue because air scatters short waves more. ', REPLY_BYTES - reply('').length));
}

export function modelList(): string {
  return JSON.stringify({
    object: 'list',
    data: [{ id: MODEL, object: 'model', created: CREATED, owned_by: 'bench' }],
  });
}

function event(choices: readonly object[], extra: object = {}): string {
  const data = { id: ID, object: 'chat.completion.chunk', created: CREATED, model: MODEL, choices, ...extra };
  return `data: ${JSON.stringify(data)}\n\n`;
}

export const ROLE_EVENT = event([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }]);
export const TOKEN_EVENT = event([{ index: 0, delta: { content: ` ${TOKEN}` }, finish_reason: null }]);
export const FINISH_EVENT = event([{ index: 0, delta: {}, finish_reason: 'stop' }]);
export const USAGE_EVENT = event([], { usage: USAGE });
export const DONE_EVENT = 'data: [DONE]\n\n';

/** One piece of a chunked HTTP/1.1 body. */
export function httpChunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

export const LAST_HTTP_CHUNK = '0\r\n\r\n';

/** A whole HTTP/1.1 request on a kept-alive connection, as an SDK would send it. */
export function httpRequest(port: number, body: string, apiKey = 'bench'): Buffer {
  return Buffer.from(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
      `Accept: application/json\r\nAuthorization: Bearer ${apiKey}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function padding(sentence: string, length: number): string {
  return sentence.repeat(Math.ceil(length / sentence.length)).slice(0, length);
}
