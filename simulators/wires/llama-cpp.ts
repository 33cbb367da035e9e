import { type ChatDialect, OPENAI_DIALECT, plainUsage } from '../generation/chat-dialect.ts';
import type { ChatPlan } from '../generation/chat-plan.ts';
import { type Answer, json, text } from '../server/answer.ts';
import { bearerOf, type Exchange, isOpenAiInference, type Wire } from '../server/exchange.ts';
import type { ShelvedModel } from '../server/model-shelf.ts';
import type { Behaviour } from '../types.ts';
import { modelList, type OpenAiManner, STAYS_LOADED, serveOpenAi } from './serve-openai.ts';

const TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  404: 'not_found_error',
  501: 'not_supported_error',
  503: 'unavailable_error',
};

function errorBody(status: number, message: string): unknown {
  return { error: { code: status, message, type: TYPES[status] ?? 'server_error' } };
}

function refusal(status: number, message: string): Answer {
  return json(status, errorBody(status, message));
}

const SLEEPS_FROM_BUILD = 7_500;
const METRICS_LET_SLEEP_FROM_BUILD = 10_630;

const buildInfo = ({ build }: Behaviour): string => `b${build}-simulated`;
const canSleep = ({ build }: Behaviour): boolean => build >= SLEEPS_FROM_BUILD;

/** Milliseconds a token at the fastest, so that an unlimited speed stays a finite number. */
const FASTEST_TOKEN_MS = 0.1;

function timings(plan: ChatPlan, { behaviour }: Exchange) {
  const predictedMs = plan.completionTokens * Math.max(FASTEST_TOKEN_MS, 1000 / behaviour.tokensPerSecond);
  const promptMs = Math.max(FASTEST_TOKEN_MS, behaviour.firstTokenMs);
  return {
    cache_n: plan.cachedTokens,
    prompt_n: plan.promptTokens - plan.cachedTokens,
    prompt_ms: promptMs,
    prompt_per_second: (plan.promptTokens / promptMs) * 1000,
    predicted_n: plan.completionTokens,
    predicted_ms: predictedMs,
    predicted_per_second: predictedMs === 0 ? 0 : (plan.completionTokens / predictedMs) * 1000,
  };
}

function dialect(exchange: Exchange): ChatDialect {
  return {
    ...OPENAI_DIALECT,
    continuesLastMessage: 'always',
    envelope: () => ({ system_fingerprint: buildInfo(exchange.behaviour) }),
    messageExtras: {},
    choiceExtras: {},
    openingContent: null,
    nullUsageBefore: false,
    usage: (plan) => ({ ...plainUsage(plan), prompt_tokens_details: { cached_tokens: plan.cachedTokens } }),
    closingExtras: (plan) => ({ timings: timings(plan, exchange) }),
  };
}

function manner(exchange: Exchange): OpenAiManner {
  return {
    dialect: dialect(exchange),
    // It serves the one model that it was started with, whatever the request calls it.
    pick: ({ shelf }) => onlyModel(shelf.all()) ?? refusal(500, 'no model'),
    loading: STAYS_LOADED,
    reportsCached: 'always',
    overflow: (promptTokens, contextLength) =>
      json(400, {
        error: {
          code: 400,
          message: `request (${promptTokens} tokens) exceeds the available context size (${contextLength} tokens), try increasing it`,
          type: 'exceed_context_size_error',
          n_prompt_tokens: promptTokens,
          n_ctx: contextLength,
        },
      }),
    badBody: (message) => refusal(400, message),
    headers: () => ({}),
    honoursBase64: true,
  };
}

function onlyModel(models: readonly ShelvedModel[]): ShelvedModel | null {
  return models[0] ?? null;
}

function slots(model: ShelvedModel, { query }: Exchange): Answer {
  const { capacity, running } = model.slots;
  if (query.get('fail_on_no_slot') === '1' && running >= capacity) return refusal(503, 'no slot available');
  const list = Array.from({ length: capacity }, (_, id) => ({
    id,
    id_task: id < running ? id : -1,
    n_ctx: model.spec.contextLength ?? 8192,
    speculative: false,
    is_processing: id < running,
  }));
  return json(200, list);
}

function properties({ spec, state, slots: { capacity } }: ShelvedModel, { behaviour }: Exchange): Answer {
  return json(200, {
    default_generation_settings: { n_ctx: spec.contextLength ?? 8192 },
    total_slots: capacity,
    model_path: `/models/${spec.id}.gguf`,
    chat_template: '{{ messages }}',
    modalities: { vision: spec.vision ?? true, audio: false },
    ...(canSleep(behaviour) ? { is_sleeping: state !== 'loaded' } : {}),
    build_info: buildInfo(behaviour),
  });
}

function metrics({ slots: { running, waiting } }: ShelvedModel): Answer {
  const gauge = (name: string, value: number) => `# TYPE llamacpp:${name} gauge\nllamacpp:${name} ${value}\n`;
  return text(
    200,
    gauge('requests_processing', running) + gauge('requests_deferred', waiting),
    'text/plain; version=0.0.4',
  );
}

/** Looked at with each request: whoever does not ask cannot tell when it fell asleep. */
function fallAsleep({ shelf, behaviour }: Exchange): void {
  const { sleepIdleMs } = behaviour;
  if (sleepIdleMs === null || !canSleep(behaviour)) return;
  for (const model of shelf.loaded()) {
    if (model.users === 0 && performance.now() - model.usedAtMs > sleepIdleMs) shelf.unload(model);
  }
}

/** A task like any other: a model that sleeps is loaded for it, and one that is awake stays so. */
async function asTask(
  { shelf, behaviour, gone }: Exchange,
  model: ShelvedModel,
  answer: () => Answer,
): Promise<Answer> {
  await shelf.ensureLoaded(model, behaviour.loadMs, STAYS_LOADED, gone);
  shelf.use(model).done();
  return answer();
}

function get(exchange: Exchange): Answer | Promise<Answer> | null {
  const model = onlyModel(exchange.shelf.all());
  if (model === null) return refusal(500, 'no model');
  switch (exchange.request.path) {
    case '/health':
    case '/v1/health':
      return json(200, { status: 'ok' });
    case '/props':
      return properties(model, exchange);
    case '/slots':
      return asTask(exchange, model, () => slots(model, exchange));
    case '/metrics':
      return exchange.behaviour.build < METRICS_LET_SLEEP_FROM_BUILD
        ? asTask(exchange, model, () => metrics(model))
        : metrics(model);
    case '/models':
    case '/v1/models': {
      const meta = {
        n_ctx_train: model.spec.maxContextLength ?? 131_072,
        n_params: 7_000_000_000,
        size: 4_000_000_000,
      };
      return json(200, modelList([model.spec.id], { owned_by: 'llamacpp', meta }));
    }
    default:
      return null;
  }
}

/** llama.cpp's server: one model that may sleep, slots that can be asked about, 503 while it loads. */
export const llamaCppWire: Wire = {
  kind: 'llama-cpp',
  defaults: { slots: 4 },
  basePath: '',
  headers: { server: 'llama.cpp' },
  isInference: isOpenAiInference,
  errorBody,
  refuseStranger: ({ request }, apiKey) => {
    const open = request.path === '/health' || request.path === '/v1/health';
    return open || bearerOf(request) === apiKey ? null : refusal(401, 'Invalid API Key');
  },
  answer: (exchange) => {
    const { method, path } = exchange.request;
    fallAsleep(exchange);
    if (exchange.behaviour.loading) return refusal(503, 'Loading model');
    if (method === 'GET') return get(exchange) ?? refusal(404, 'File Not Found');
    const operation = path.replace(/^\/(v1\/)?/, '');
    return (
      (method === 'POST' ? serveOpenAi(exchange, operation, manner(exchange)) : null) ?? refusal(404, 'File Not Found')
    );
  },
};
