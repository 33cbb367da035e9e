import { DONE_EVENT, dataEvent, type StreamEvent } from '../server/answer.ts';
import { plainUsage } from './chat-dialect.ts';
import type { ChatPlan } from './chat-plan.ts';
import { type ChatRequest, type JsonObject, readChatRequest } from './chat-request.ts';
import type { ReplyIdentity } from './chat-writer.ts';

/** A text completion is planned as a chat of one message. Null: no usable prompt. */
export function readCompletionRequest(body: JsonObject): ChatRequest | null {
  const { prompt } = body;
  const text = typeof prompt === 'string' ? prompt : Array.isArray(prompt) ? prompt.join(' ') : null;
  if (text === null) return null;
  const { tools: _tools, response_format: _format, ...rest } = body;
  return readChatRequest({ ...rest, messages: [{ role: 'user', content: text }] });
}

export function completionBody(plan: ChatPlan, identity: ReplyIdentity): JsonObject {
  const choices = plan.choices.map(({ index, content, finishReason }) => ({
    index,
    text: content.join(''),
    logprobs: null,
    finish_reason: finishReason,
  }));
  return { ...identity, object: 'text_completion', choices, usage: plainUsage(plan) };
}

export function* completionEvents(
  plan: ChatPlan,
  identity: ReplyIdentity,
  includeUsage: boolean,
): Generator<StreamEvent> {
  const head = { ...identity, object: 'text_completion' };
  const choice = (index: number, text: string, finishReason: string | null): JsonObject => ({
    ...head,
    choices: [{ index, text, logprobs: null, finish_reason: finishReason }],
  });
  for (const { index, content, finishReason } of plan.choices) {
    for (const piece of content) yield dataEvent(choice(index, piece, null), piece);
    yield dataEvent(choice(index, '', finishReason));
  }
  if (includeUsage) yield dataEvent({ ...head, choices: [], usage: plainUsage(plan) });
  yield DONE_EVENT;
}
