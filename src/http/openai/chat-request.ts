import type { Caller } from '../../core/caller.ts';
import { checkShape, JsonShapeError } from '../../core/json-patch.ts';
import { isObject, type JsonObject } from '../../core/json-shape.ts';
import type { InferenceRequest, RequestFence } from '../../core/request.ts';
import { MAX_FIRST_TOKEN_LIMIT_MS, type Route } from '../../core/route.ts';
import { HttpError } from '../http-error.ts';
import { checkNames } from './check-names.ts';
import { promptFacts } from './prompt-facts.ts';

/** Ten keys for each message: a hundred thousand are parsed in less than 100 ms. */
const LIMITS = { maxDepth: 64, maxKeys: 100_000 };
const MAX_MESSAGES = 10_000;
const MAX_TOOLS = 512;
const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function']);
/** It goes into URLs, headers, logs and terminals. */
const NO_NAME = /\p{Cc}/u;
const decoder = new TextDecoder('utf-8', { fatal: true });

export interface RequestContext {
  readonly id: string;
  readonly caller: Caller;
  readonly headers: Headers;
  readonly clientSignal: AbortSignal;
  readonly acceptedAtMs: number;
  readonly routes: ReadonlyMap<string, Route>;
}

/** Validates what the router itself relies on; everything else in the body is between the client and the model server. */
export function parseChatRequest(rawBody: Uint8Array, context: RequestContext): InferenceRequest {
  const { body, members } = parseObject(rawBody);
  const hasRepeats = checkNames(body, rawBody, members);
  checkMessages(body['messages']);
  checkTools(body['tools']);
  return {
    id: context.id,
    operation: 'chat',
    caller: context.caller,
    rateLease: null,
    requestedModel: modelOf(body['model']),
    stream: booleanOf(body['stream'], 'stream'),
    includeUsage: includeUsageOf(body['stream_options']),
    rawBody,
    body,
    fence: readFence(context.headers, context.routes),
    prompt: promptFacts(rawBody, body, context.headers.get('x-session-id'), hasRepeats),
    continues: false,
    hops: hopsOf(context.headers),
    traceparent: traceOf(context.headers),
    clientSignal: context.clientSignal,
    acceptedAtMs: context.acceptedAtMs,
  };
}

/** And how many members it has in all, before one of two was lost. */
function parseObject(rawBody: Uint8Array): { readonly body: JsonObject; readonly members: number } {
  if (rawBody.length === 0)
    throw bad('The request body is empty. Send a JSON object with "messages".', null, 'empty_body');
  let value: unknown;
  let members = 0;
  try {
    members = checkShape(rawBody, LIMITS);
    value = JSON.parse(decoder.decode(rawBody));
  } catch (error) {
    if (error instanceof JsonShapeError) {
      const code = error.reason === 'too-many-keys' ? 'json_too_many_keys' : 'json_too_deep';
      throw bad(`The request body is ${error.message}.`, null, code);
    }
    const detail = error instanceof SyntaxError ? error.message : 'it is not UTF-8 text';
    throw bad(`The request body is not valid JSON: ${detail}.`, null, 'invalid_json');
  }
  if (!isObject(value))
    throw bad(`The request body must be a JSON object, not ${describe(value)}.`, null, 'invalid_json');
  return { body: value, members };
}

function checkMessages(messages: unknown): void {
  if (messages === undefined) {
    throw bad(
      '"messages" is missing. Send at least one, e.g. [{"role":"user","content":"Hello"}].',
      'messages',
      'missing_required_parameter',
    );
  }
  if (!Array.isArray(messages))
    throw bad(`"messages" must be a list, not ${describe(messages)}.`, 'messages', 'invalid_type');
  if (messages.length === 0) throw bad('"messages" is empty. Send at least one message.', 'messages', 'empty_array');
  if (messages.length > MAX_MESSAGES) {
    throw bad(
      `"messages" has ${messages.length} entries; at most ${MAX_MESSAGES} are allowed.`,
      'messages',
      'array_above_max_length',
    );
  }
  for (let index = 0; index < messages.length; index++) checkMessage(messages[index], index);
}

function checkMessage(message: unknown, index: number): void {
  const at = `messages[${index}]`;
  if (!isObject(message)) throw bad(`"${at}" must be an object, not ${describe(message)}.`, at, 'invalid_type');
  const role = message['role'];
  if (typeof role !== 'string' || !ROLES.has(role)) {
    throw bad(`"${at}.role" is ${describe(role)}; allowed: ${[...ROLES].join(', ')}.`, `${at}.role`, 'invalid_value');
  }
  const content = message['content'];
  if (content !== undefined && content !== null && typeof content !== 'string' && !Array.isArray(content)) {
    throw bad(
      `"${at}.content" must be text, a list of parts or null, not ${describe(content)}.`,
      `${at}.content`,
      'invalid_type',
    );
  }
  if ((role === 'user' || role === 'system' || role === 'developer') && (content === undefined || content === null)) {
    throw bad(`"${at}.content" is missing; a ${role} message needs it.`, `${at}.content`, 'missing_required_parameter');
  }
}

/** What is in them is between the client and the model server. */
function checkTools(tools: unknown): void {
  if (!Array.isArray(tools) || tools.length <= MAX_TOOLS) return;
  const message = `"tools" has ${tools.length} entries; at most ${MAX_TOOLS} are allowed.`;
  throw bad(message, 'tools', 'array_above_max_length');
}

function modelOf(model: unknown): string {
  if (model === undefined || model === null) return '';
  if (typeof model !== 'string') throw bad(`"model" must be text, not ${describe(model)}.`, 'model', 'invalid_type');
  if (model.length > 512)
    throw bad(`"model" has ${model.length} characters; at most 512 are allowed.`, 'model', 'string_above_max_length');
  if (NO_NAME.test(model) || !model.isWellFormed()) {
    const message = `"model" is ${JSON.stringify(model.slice(0, 60))}: a name holds no line breaks and other control characters.`;
    throw bad(message, 'model', 'invalid_value');
  }
  return model;
}

function includeUsageOf(options: unknown): boolean {
  if (options === undefined || options === null) return false;
  if (!isObject(options))
    throw bad(`"stream_options" must be an object, not ${describe(options)}.`, 'stream_options', 'invalid_type');
  return booleanOf(options['include_usage'], 'stream_options.include_usage');
}

function booleanOf(value: unknown, param: string): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== 'boolean')
    throw bad(`"${param}" must be true or false, not ${describe(value)}.`, param, 'invalid_type');
  return value;
}

/** W3C trace context; what is none is not handed to a model server, and stands for no trace. */
function traceOf(headers: Headers): string | null {
  const trace = headers.get('traceparent');
  return trace !== null && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(trace) ? trace : null;
}

/** Gateways may stand in a row, but a gateway that is its own target would ask itself without end. */
const MAX_HOPS = 4;

function hopsOf(headers: Headers): number {
  const hops = Number(headers.get('x-swarmrouter-hops') ?? 0);
  if (hops < MAX_HOPS || Number.isNaN(hops)) return Number.isInteger(hops) && hops > 0 ? hops : 0;
  const message = `The request came through ${MAX_HOPS} gateways: one of them leads back to itself. Look at its targets.`;
  throw new HttpError(508, 'loop_detected', message);
}

/** What the `x-swarmrouter-*` headers allow and demand. */
export function readFence(headers: Headers, routes: ReadonlyMap<string, Route>): RequestFence {
  const place = headers.get('x-swarmrouter-place');
  if (place !== null && place !== 'local' && place !== 'cloud')
    throw badHeader('x-swarmrouter-place', place, 'local, cloud');
  const strict = headers.get('x-swarmrouter-strict-model');
  if (strict !== null && strict !== 'true' && strict !== 'false') {
    throw badHeader('x-swarmrouter-strict-model', strict, 'true, false');
  }
  const name = headers.get('x-swarmrouter-route');
  const route = name === null ? null : routes.get(name);
  if (name !== null && route === undefined) throw badHeader('x-swarmrouter-route', name, [...routes.keys()].join(', '));
  return {
    place,
    strictModel: strict === 'true',
    route: route ?? null,
    maxFirstTokenMs: maxFirstTokenOf(headers.get('x-swarmrouter-max-first-token-ms')),
  };
}

function maxFirstTokenOf(value: string | null): number | null {
  if (value === null) return null;
  const milliseconds = /^\d{1,9}$/.test(value) ? Number(value) : 0;
  if (milliseconds > 0 && milliseconds <= MAX_FIRST_TOKEN_LIMIT_MS) return milliseconds;
  throw badHeader(
    'x-swarmrouter-max-first-token-ms',
    value,
    `whole milliseconds from 1 to ${MAX_FIRST_TOKEN_LIMIT_MS}`,
  );
}

function badHeader(name: string, value: string, allowed: string): HttpError {
  return bad(`The header ${name} is "${value.slice(0, 100)}"; allowed: ${allowed}.`, name, 'invalid_header');
}

function bad(message: string, param: string | null, code: string): HttpError {
  return new HttpError(400, code, message, { param });
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return `${typeof value} ${JSON.stringify(value).slice(0, 60)}`;
}
