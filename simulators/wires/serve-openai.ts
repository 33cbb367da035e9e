import type { ChatDialect } from '../generation/chat-dialect.ts';
import { type ChatPlan, hash, planChat } from '../generation/chat-plan.ts';
import { type ChatRequest, type JsonObject, readChatRequest } from '../generation/chat-request.ts';
import { type ReplyIdentity, streamEvents, wholeReply } from '../generation/chat-writer.ts';
import { completionBody, completionEvents, readCompletionRequest } from '../generation/completion-writer.ts';
import { embeddingReply, readEmbeddingInputs } from '../generation/embedding-writer.ts';
import { type Answer, json, type StreamEvent } from '../server/answer.ts';
import type { Exchange } from '../server/exchange.ts';
import type { ShelvedModel } from '../server/model-shelf.ts';
import { sleep } from '../server/sleep.ts';

/** What a wire says around its OpenAI-shaped operations. */
export interface OpenAiManner {
  readonly dialect: ChatDialect;
  /** The model to answer with, or the wire's refusal. */
  pick(exchange: Exchange, name: string): ShelvedModel | Answer;
  /** Models loaded by requests that stay in memory at once. */
  readonly keepLoaded: number;
  overflow(promptTokens: number, contextLength: number, model: string): Answer;
  badBody(message: string): Answer;
  /** Headers of every generated answer, such as a generation id. */
  headers(): Readonly<Record<string, string>>;
  /** LM Studio sends floats whatever `encoding_format` says. */
  readonly honoursBase64: boolean;
}

const DEFAULT_CONTEXT_LENGTH = 8192;
const STREAM_HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' };

interface Generation {
  readonly plan: ChatPlan;
  readonly stream: boolean;
  whole(): JsonObject;
  events(): Iterable<StreamEvent>;
}

let replyNumber = 0;

function identify(prefix: string, model: string): ReplyIdentity {
  return {
    id: `${prefix}-${(++replyNumber).toString(36).padStart(8, '0')}`,
    created: Math.floor(Date.now() / 1000),
    model,
  };
}

export function replyModel(model: ShelvedModel): string {
  return model.spec.underlyingModel ?? model.spec.id;
}

/** Answers `chat/completions`, `completions` or `embeddings`; null for another path. */
export function serveOpenAi(exchange: Exchange, operation: string, manner: OpenAiManner): Promise<Answer> | null {
  if (operation === 'chat/completions') return serveChat(exchange, manner);
  if (operation === 'completions') return serveCompletion(exchange, manner);
  if (operation === 'embeddings') return serveEmbedding(exchange, manner);
  return null;
}

export async function serveChat(exchange: Exchange, manner: OpenAiManner): Promise<Answer> {
  if (!Array.isArray(exchange.body?.['messages'])) return manner.badBody("'messages' field is required");
  const request = readChatRequest(exchange.body);
  const { honoursChoiceCount, continuesLastMessage } = manner.dialect;
  const continues = continuesLastMessage === 'always' || (continuesLastMessage === 'told' && request.toldToContinue);
  const honoured = {
    ...request,
    choiceCount: honoursChoiceCount ? request.choiceCount : 1,
    beginning: continues ? request.beginning : null,
    echo: request.echo || exchange.behaviour.echoesBeginning,
  };
  return generate(exchange, manner, honoured, (model, plan) => {
    const identity = identify('chatcmpl', replyModel(model));
    return {
      plan,
      stream: request.stream,
      whole: () => wholeReply(plan, identity, manner.dialect),
      events: () => streamEvents(plan, identity, manner.dialect, request.includeUsage),
    };
  });
}

async function serveCompletion(exchange: Exchange, manner: OpenAiManner): Promise<Answer> {
  const request = exchange.body === null ? null : readCompletionRequest(exchange.body);
  if (request === null) return manner.badBody("'prompt' field is required");
  return generate(exchange, manner, request, (model, plan) => {
    const identity = identify('cmpl', replyModel(model));
    return {
      plan,
      stream: request.stream,
      whole: () => completionBody(plan, identity),
      events: () => completionEvents(plan, identity, request.includeUsage),
    };
  });
}

async function serveEmbedding(exchange: Exchange, manner: OpenAiManner): Promise<Answer> {
  const inputs = readEmbeddingInputs(exchange.body);
  if (exchange.body === null || inputs === null) return manner.badBody("'input' field is required");
  const model = manner.pick(exchange, String(exchange.body['model'] ?? ''));
  if ('kind' in model) return model;
  const { shelf, behaviour, gone } = exchange;
  await shelf.ensureLoaded(model, behaviour.loadMs, manner.keepLoaded, gone);
  const base64 = manner.honoursBase64 && exchange.body['encoding_format'] === 'base64';
  const reply = embeddingReply(inputs, { model: replyModel(model), dimensions: model.spec.dimensions ?? 8, base64 });
  return json(200, reply, manner.headers());
}

async function generate(
  exchange: Exchange,
  manner: OpenAiManner,
  request: ChatRequest,
  prepare: (model: ShelvedModel, plan: ChatPlan) => Generation,
): Promise<Answer> {
  const model = manner.pick(exchange, request.model);
  if ('kind' in model) return model;
  const { shelf, behaviour, gone } = exchange;
  const contextLength = model.spec.contextLength ?? DEFAULT_CONTEXT_LENGTH;
  const isTooLong = request.promptTokens > contextLength;
  if (isTooLong && !behaviour.cutsPrompts)
    return manner.overflow(request.promptTokens, contextLength, replyModel(model));
  const heard = isTooLong ? { ...request, promptTokens: contextLength } : request;
  const generation = prepare(model, planChat(heard, behaviour));
  const begin = async (): Promise<(() => void) | null> => {
    await shelf.ensureLoaded(model, behaviour.loadMs, manner.keepLoaded, gone);
    return (await model.slots.acquire(gone)) ? once(() => model.slots.release()) : null;
  };
  return generation.stream
    ? streamAnswer(exchange, manner, generation, begin)
    : wholeAnswer(exchange, manner, generation, begin);
}

type Begin = () => Promise<(() => void) | null>;

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (!done) run();
    done = true;
  };
}

function firstTokenMs({ behaviour }: Exchange, plan: ChatPlan): number {
  return behaviour.firstTokenMs + (plan.promptTokens / behaviour.promptTokensPerSecond) * 1000;
}

async function wholeAnswer(
  exchange: Exchange,
  manner: OpenAiManner,
  generation: Generation,
  begin: Begin,
): Promise<Answer> {
  const { plan } = generation;
  const release = await begin();
  await sleep(
    firstTokenMs(exchange, plan) + (plan.completionTokens / exchange.behaviour.tokensPerSecond) * 1000,
    exchange.gone,
  );
  release?.();
  const answered = plan.choices.map((choice) =>
    [...choice.reasoning, ...choice.content, ...(choice.toolCall?.argumentPieces ?? [])].join(''),
  );
  return {
    ...json(200, generation.whole(), manner.headers()),
    generated: { tokens: plan.completionTokens, text: answered.join('') },
  };
}

async function streamAnswer(
  exchange: Exchange,
  manner: OpenAiManner,
  generation: Generation,
  begin: Begin,
): Promise<Answer> {
  const early = exchange.behaviour.earlyHeaders;
  let release: (() => void) | null = null;
  const prefill = async (): Promise<void> => {
    release = await begin();
    await sleep(firstTokenMs(exchange, generation.plan), exchange.gone);
  };
  if (!early) await prefill();
  return {
    kind: 'stream',
    status: 200,
    headers: { ...STREAM_HEADERS, ...manner.headers() },
    events: paced(exchange, generation, early ? prefill : null),
    release: () => release?.(),
  };
}

/** Events before the first content go out at once; each later one no sooner than its token is due. */
async function* paced(exchange: Exchange, generation: Generation, prefill: (() => Promise<void>) | null) {
  const { behaviour, gone } = exchange;
  const perTokenMs = 1000 / behaviour.tokensPerSecond;
  let startedMs = performance.now();
  let tokens = 0;
  let waiting = prefill;
  for (const event of generation.events()) {
    if (gone.aborted) return;
    if (waiting !== null && event.content !== null) {
      await waiting();
      waiting = null;
      startedMs = performance.now();
    }
    if (event.content !== null && perTokenMs > 0) {
      await sleep(startedMs + tokens++ * perTokenMs - performance.now(), gone);
    }
    yield event;
  }
}

/** A model list in OpenAI's form. */
export function modelList(ids: readonly string[], extras: JsonObject): JsonObject {
  return {
    object: 'list',
    data: ids.map((id) => ({ id, object: 'model', created: 1_700_000_000 + (hash(id) % 1000), ...extras })),
  };
}
