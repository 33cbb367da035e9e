import type { Fault } from '../fault.ts';
import { isObject } from '../generation/chat-request.ts';
import { type Answer, DONE_EVENT, json, type StreamAnswer, type StreamItem, text, type WholeAnswer } from './answer.ts';

const HTML_PAGE =
  '<!doctype html><html><head><title>Sign in</title></head><body><h1>Sign in to the network</h1></body></html>';
const DEFAULT_COMMENT_MS = 50;

/** The answer of a fault that comes in place of the wire's own; null: the wire answers. */
export function answerInPlace(
  fault: Fault,
  streamed: boolean,
  errorBody: (status: number, message: string) => unknown,
): Answer | null {
  switch (fault.kind) {
    case 'status': {
      const body = fault.body ?? errorBody(fault.status, `simulated status ${fault.status}`);
      if (typeof body === 'string')
        return { ...text(fault.status, body), headers: { 'content-type': 'text/plain', ...fault.headers } };
      return json(fault.status, body, fault.headers);
    }
    case 'headers-only':
      return stream(streamed, hangs(null));
    case 'comments-only':
      return stream(true, hangs(fault.everyMs ?? DEFAULT_COMMENT_MS));
    case 'error-with-200':
      return json(200, fault.body ?? errorBody(500, 'simulated error under status 200'));
    case 'html':
      return text(200, HTML_PAGE, 'text/html; charset=utf-8');
    case 'redirect':
      return { ...text(fault.status ?? 302, ''), headers: { location: fault.location } };
    default:
      return null;
  }
}

function stream(sse: boolean, events: AsyncIterable<StreamItem>): StreamAnswer {
  const contentType = sse ? 'text/event-stream' : 'application/json';
  return { kind: 'stream', status: 200, headers: { 'content-type': contentType }, events };
}

async function* hangs(commentsEveryMs: number | null): AsyncGenerator<StreamItem> {
  yield { act: 'hang', commentsEveryMs };
}

/** The wire's own answer, spoilt. */
export function spoil(answer: Answer, fault: Fault, streamError: unknown): Answer {
  if (answer.kind === 'whole') return spoilWhole(answer, fault);
  const tail = tailOf(fault, streamError);
  if (tail !== null)
    return { ...answer, events: replaceFrom(answer.events, tail.afterChunks, tail.items, tail.thenRest) };
  if (fault.kind === 'empty') return { ...answer, events: replaceFrom(answer.events, 0, [DONE_EVENT], false) };
  if (fault.kind === 'empty-choices') return { ...answer, events: withoutChoices(answer.events) };
  if (fault.kind === 'truncated-line') return { ...answer, events: halfLine(answer.events, fault.afterChunks) };
  return answer;
}

type Tail = { readonly afterChunks: number; readonly items: readonly StreamItem[]; readonly thenRest: boolean };

function tailOf(fault: Fault, streamError: unknown): Tail | null {
  switch (fault.kind) {
    case 'stall':
      return cutWith(fault.afterChunks, [{ act: 'hang', commentsEveryMs: fault.commentsEveryMs ?? null }]);
    case 'reset':
      return cutWith(fault.afterChunks, [{ act: 'reset' }]);
    case 'cut':
      return cutWith(fault.afterChunks, [{ act: 'cut' }]);
    case 'clean-end':
      return cutWith(fault.afterChunks, []);
    case 'error-in-stream': {
      const body = JSON.stringify(fault.error ?? streamError);
      const prefix = fault.shape === 'event' ? 'event: error\n' : '';
      return cutWith(fault.afterChunks, [{ text: `${prefix}data: ${body}\n\n`, content: null }]);
    }
    case 'bad-json-line':
      return {
        afterChunks: fault.afterChunks,
        items: [{ text: 'data: {"choices": [{"delta"\n\n', content: null }],
        thenRest: true,
      };
    case 'giant-line': {
      const item = { text: `data: ${'a'.repeat(fault.bytes)}\n\n`, content: null };
      return { afterChunks: fault.afterChunks ?? 0, items: [item], thenRest: true };
    }
    default:
      return null;
  }
}

function cutWith(afterChunks: number, items: readonly StreamItem[]): Tail {
  return { afterChunks, items, thenRest: false };
}

/** Passes on as many events with content, then the given items; further chunks than there are: just before the finish. */
async function* replaceFrom(
  events: AsyncIterable<StreamItem>,
  afterChunks: number,
  items: readonly StreamItem[],
  thenRest: boolean,
): AsyncGenerator<StreamItem> {
  let passed = 0;
  let done = false;
  for await (const item of events) {
    const hasContent = 'content' in item && item.content !== null;
    const atPlace = hasContent ? passed >= afterChunks : passed > 0 || item === DONE_EVENT;
    if (!done && atPlace) {
      done = true;
      yield* items;
      if (!thenRest) return;
    }
    if (hasContent) passed++;
    yield item;
  }
}

async function* withoutChoices(events: AsyncIterable<StreamItem>): AsyncGenerator<StreamItem> {
  for await (const item of events) {
    if (!('text' in item) || !item.text.startsWith('data: {')) yield item;
    else
      yield { text: `data: ${JSON.stringify({ ...JSON.parse(item.text.slice(6)), choices: [] })}\n\n`, content: null };
  }
}

async function* halfLine(events: AsyncIterable<StreamItem>, afterChunks: number): AsyncGenerator<StreamItem> {
  let passed = 0;
  for await (const item of events) {
    const hasContent = 'content' in item && item.content !== null;
    if (hasContent && passed++ >= afterChunks) {
      yield { text: item.text.slice(0, item.text.length >> 1), content: null };
      return;
    }
    yield item;
  }
}

function spoilWhole(answer: WholeAnswer, fault: Fault): WholeAnswer {
  switch (fault.kind) {
    case 'truncated-json':
      return { ...answer, body: answer.body.slice(0, fault.keepBytes ?? answer.body.length >> 1) };
    case 'empty-choices':
      return { ...answer, body: JSON.stringify({ ...parsed(answer), choices: [] }) };
    case 'empty':
      return { ...answer, body: JSON.stringify(emptied(parsed(answer))) };
    default:
      return answer;
  }
}

function parsed(answer: WholeAnswer): Record<string, unknown> {
  const value: unknown = JSON.parse(answer.body);
  return isObject(value) ? value : {};
}

function emptied(reply: Record<string, unknown>): Record<string, unknown> {
  const choices = Array.isArray(reply['choices']) ? reply['choices'] : [];
  const message = { role: 'assistant', content: '' };
  const usage = isObject(reply['usage']) ? { usage: { ...reply['usage'], completion_tokens: 0 } } : {};
  return {
    ...reply,
    ...usage,
    choices: choices.map((choice: unknown) => (isObject(choice) ? { ...choice, message } : choice)),
  };
}
