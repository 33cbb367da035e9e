import { DONE_EVENT, dataEvent, type StreamEvent } from '../server/answer.ts';
import type { ChatDialect } from './chat-dialect.ts';
import type { ChatPlan, PlannedChoice, PlannedToolCall } from './chat-plan.ts';
import type { JsonObject } from './chat-request.ts';

export interface ReplyIdentity {
  readonly id: string;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly model: string;
}

export function wholeReply(plan: ChatPlan, identity: ReplyIdentity, dialect: ChatDialect): JsonObject {
  return {
    id: identity.id,
    object: 'chat.completion',
    created: identity.created,
    model: identity.model,
    ...dialect.envelope(identity.model),
    choices: plan.choices.map((choice) => wholeChoice(choice, dialect)),
    usage: dialect.usage(plan),
    ...dialect.closingExtras(plan),
  };
}

function wholeChoice(choice: PlannedChoice, dialect: ChatDialect): JsonObject {
  const { toolCall, reasoning } = choice;
  return {
    index: choice.index,
    message: {
      role: 'assistant',
      content: toolCall === null ? choice.content.join('') : null,
      ...dialect.messageExtras,
      ...(dialect.reasoningField !== null && reasoning.length > 0
        ? { [dialect.reasoningField]: reasoning.join('') }
        : {}),
      ...(toolCall === null ? {} : { tool_calls: [toolCallBody(toolCall, toolCall.argumentPieces.join(''))] }),
    },
    ...dialect.choiceExtras,
    ...dialect.finishExtras(choice),
    finish_reason: choice.finishReason,
  };
}

function toolCallBody(call: PlannedToolCall, argumentText: string): JsonObject {
  return { id: call.id, type: 'function', function: { name: call.name, arguments: argumentText } };
}

/** The events of a stream in order; those with content stand for one token each. */
export function* streamEvents(
  plan: ChatPlan,
  identity: ReplyIdentity,
  dialect: ChatDialect,
  includeUsage: boolean,
): Generator<StreamEvent> {
  const withUsage = includeUsage || dialect.streamedUsage === 'always';
  const head = {
    id: identity.id,
    object: 'chat.completion.chunk',
    created: identity.created,
    model: identity.model,
    ...dialect.envelope(identity.model),
  };
  const tail = withUsage && dialect.nullUsageBefore ? { usage: null } : {};
  const chunk = (choice: JsonObject, content: string | null): StreamEvent =>
    dataEvent({ ...head, choices: [choice], ...tail }, content);
  for (const comment of dialect.openingComments) yield { text: `: ${comment}\n\n`, content: null };
  for (const opening of dialect.openingChunks()) yield dataEvent(opening);
  for (const choice of plan.choices) yield* choiceEvents(choice, dialect, chunk);
  const last = plan.choices.at(-1);
  for (const [at, choice] of plan.choices.entries()) {
    const closing = !withUsage && choice === last ? dialect.closingExtras(plan) : {};
    yield dataEvent({ ...head, choices: [finishChoice(choice, dialect)], ...tail, ...closing });
    for (const extra of dialect.afterFinish(choice)) {
      yield dataEvent({ ...head, choices: [{ index: at, ...extra }], ...tail });
    }
  }
  if (withUsage) yield dataEvent({ ...head, choices: [], usage: dialect.usage(plan), ...dialect.closingExtras(plan) });
  yield DONE_EVENT;
}

function* choiceEvents(
  choice: PlannedChoice,
  dialect: ChatDialect,
  chunk: (choice: JsonObject, content: string | null) => StreamEvent,
): Generator<StreamEvent> {
  const open = (delta: JsonObject): JsonObject => ({
    index: choice.index,
    delta,
    ...dialect.choiceExtras,
    finish_reason: null,
  });
  const content = choice.toolCall === null ? dialect.openingContent : null;
  yield chunk(open({ role: 'assistant', content, ...dialect.messageExtras }), null);
  if (dialect.reasoningField !== null) {
    for (const piece of choice.reasoning) yield chunk(open({ [dialect.reasoningField]: piece }), piece);
  }
  for (const piece of choice.content) yield chunk(open({ content: piece }), piece);
  if (choice.toolCall !== null) {
    for (const [delta, piece] of toolCallDeltas(choice.toolCall, dialect)) yield chunk(open(delta), piece);
  }
}

function* toolCallDeltas(call: PlannedToolCall, dialect: ChatDialect): Generator<[JsonObject, string | null]> {
  const whole = call.argumentPieces.join('');
  if (dialect.toolCalls === 'whole') {
    yield [{ tool_calls: [{ index: 0, ...toolCallBody(call, whole) }] }, whole];
    return;
  }
  yield [{ tool_calls: [{ index: 0, ...toolCallBody(call, '') }] }, ''];
  for (const piece of call.argumentPieces) {
    yield [{ tool_calls: [{ index: 0, function: { arguments: piece } }] }, piece];
  }
}

function finishChoice(choice: PlannedChoice, dialect: ChatDialect): JsonObject {
  return {
    index: choice.index,
    delta: {},
    ...dialect.choiceExtras,
    ...dialect.finishExtras(choice),
    finish_reason: choice.finishReason,
  };
}
