import type { ChatDialect } from '../generation/chat-dialect.ts';
import { type ChatPlan, hash, planChat } from '../generation/chat-plan.ts';
import { type ChatRequest, type JsonObject, promptWords, readChatRequest } from '../generation/chat-request.ts';
import { type ReplyIdentity, streamEvents, wholeReply } from '../generation/chat-writer.ts';
import { completionBody, completionEvents, readCompletionRequest } from '../generation/completion-writer.ts';
import { embeddingReply, readEmbeddingInputs } from '../generation/embedding-writer.ts';
import { type Answer, json, type StreamEvent, type StreamItem } from '../server/answer.ts';
import type { Exchange } from '../server/exchange.ts';
import type { LoadingHabit, ShelvedModel } from '../server/model-shelf.ts';
import { sleep } from '../server/sleep.ts';
import { commonPrefix } from '../server/slots.ts';

/** What a wire says around its OpenAI-shaped operations. */
export interface OpenAiManner {
  readonly dialect: ChatDialect;
  /** The model to answer with, or the wire's refusal. */
  pick(exchange: Exchange, name: string): ShelvedModel | Answer;
  readonly loading: LoadingHabit;
  /** Its usage tells of cached tokens without being told to. */
  readonly reportsCached?: 'always';
  overflow(promptTokens: number, contextLength: number, model: string): Answer;
  badBody(message: string): Answer;
  /** Headers of every generated answer, such as a generation id. */
  headers(): Readonly<Record<string, string>>;
  /** LM Studio sends floats whatever `encoding_format` says. */
  readonly honoursBase64: boolean;
}

/** Servers that hold what they were started with. */
export const STAYS_LOADED: LoadingHabit = {
  keep: Number.POSITIVE_INFINITY,
  counted: 'by-requests',
  whenBusy: 'breaks-answers',
  loadsCopies: false,
};

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
  await shelf.ensureLoaded(model, behaviour.loadMs, manner.loading, gone);
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
  const { behaviour } = exchange;
  const contextLength = model.spec.contextLength ?? DEFAULT_CONTEXT_LENGTH;
  const isTooLong = request.promptTokens > contextLength;
  if (isTooLong && !behaviour.cutsLongPrompts)
    return manner.overflow(request.promptTokens, contextLength, replyModel(model));
  const kept = isTooLong ? { ...request, promptTokens: contextLength } : request;
  const generation = prepare(model, planChat(kept, behaviour));
  const begin = async (): Promise<Turn> => {
    const turn = await beginTurn(exchange, manner, model, generation.plan);
    // Only now is it known how much of the prompt was cached.
    const tells = !generation.stream || request.includeUsage || manner.dialect.streamedUsage === 'always';
    if (tells) exchange.reports(manner.dialect.usage(generation.plan));
    return turn;
  };
  return generation.stream
    ? streamAnswer(exchange, manner, generation, begin)
    : wholeAnswer(exchange, manner, generation, begin);
}

/** One generation's hold on its model. */
interface Turn {
  /** Fires when the client has gone, or the model was put out of memory under the answer. */
  readonly over: AbortSignal;
  readonly putOut: AbortSignal;
  release(): void;
}

/** Waits for the model, a slot and the prompt's reading; returns early when there is nobody to answer any more. */
async function beginTurn(exchange: Exchange, manner: OpenAiManner, model: ShelvedModel, plan: ChatPlan): Promise<Turn> {
  const { shelf, behaviour, gone, body } = exchange;
  await shelf.ensureLoaded(model, behaviour.loadMs, manner.loading, gone);
  const use = shelf.use(model);
  // Only what a request loaded is put out under an answer; the signal would gather listeners elsewhere.
  const over = model.loadedByRequest ? AbortSignal.any([gone, use.putOut]) : gone;
  const words = behaviour.prefixCache ? promptWords(body) : [];
  const slot = await model.slots.acquire(over, words);
  const turn = {
    over,
    putOut: use.putOut,
    release: once(() => {
      if (slot !== null) model.slots.release(slot);
      use.done();
    }),
  };
  if (slot === null) return turn;
  const cached = Math.min(commonPrefix(slot.prompt, words), plan.promptTokens - 1);
  slot.prompt = words;
  if (manner.reportsCached === 'always' || behaviour.reportsCachedTokens) plan.cachedTokens = Math.max(0, cached);
  await prefill(exchange, plan.promptTokens - Math.max(0, cached), over);
  return turn;
}

async function prefill({ behaviour, shelf }: Exchange, newTokens: number, over: AbortSignal): Promise<void> {
  const ownMs = behaviour.firstTokenMs + (newTokens / behaviour.promptTokensPerSecond) * 1000;
  const readingMs = (newTokens / behaviour.prefillTokensPerSecond) * 1000;
  if (readingMs > 0) await shelf.readPrompt(() => sleep(readingMs, over));
  await sleep(ownMs, over);
}

type Begin = () => Promise<Turn>;

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (!done) run();
    done = true;
  };
}

async function wholeAnswer(
  exchange: Exchange,
  manner: OpenAiManner,
  generation: Generation,
  begin: Begin,
): Promise<Answer> {
  const { plan } = generation;
  const turn = await begin();
  await sleep((plan.completionTokens / exchange.behaviour.tokensPerSecond) * 1000, turn.over);
  turn.release();
  if (turn.putOut.aborted) return brokenOff(manner);
  const answered = plan.choices.map((choice) =>
    [...choice.reasoning, ...choice.content, ...(choice.toolCall?.argumentPieces ?? [])].join(''),
  );
  return {
    ...json(200, generation.whole(), manner.headers()),
    generated: { tokens: plan.completionTokens, text: answered.join('') },
  };
}

function brokenOff(manner: OpenAiManner): Answer {
  const headers = { 'content-type': 'application/json; charset=utf-8', ...manner.headers() };
  return { kind: 'stream', status: 200, headers, events: cut() };
}

async function* cut(): AsyncGenerator<StreamItem> {
  yield { act: 'cut' };
}

async function streamAnswer(
  exchange: Exchange,
  manner: OpenAiManner,
  generation: Generation,
  begin: Begin,
): Promise<Answer> {
  let release: (() => void) | null = null;
  const prepared = async (): Promise<Turn> => {
    const turn = await begin();
    release = turn.release;
    return turn;
  };
  // With early headers the turn begins once the head has gone out.
  const turn = exchange.behaviour.earlyHeaders ? prepared : await prepared().then((ready) => async () => ready);
  return {
    kind: 'stream',
    status: 200,
    headers: { ...STREAM_HEADERS, ...manner.headers() },
    events: paced(exchange, generation, turn),
    release: () => release?.(),
  };
}

/** Events before the first content go out at once; each later one no sooner than its token is due. */
async function* paced({ behaviour, gone }: Exchange, generation: Generation, begin: Begin): AsyncGenerator<StreamItem> {
  const perTokenMs = 1000 / behaviour.tokensPerSecond;
  let startedMs = performance.now();
  let tokens = 0;
  let turn: Turn | null = null;
  for (const event of generation.events()) {
    if (gone.aborted) return;
    if (turn === null && event.content !== null) {
      turn = await begin();
      startedMs = performance.now();
    }
    if (turn !== null && event.content !== null && perTokenMs > 0) {
      await sleep(startedMs + tokens++ * perTokenMs - performance.now(), turn.over);
    }
    if (turn?.putOut.aborted === true) {
      yield { act: 'cut' };
      return;
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
