import { type ChatDialect, OPENAI_DIALECT, plainUsage } from '../generation/chat-dialect.ts';
import type { ChatPlan } from '../generation/chat-plan.ts';
import { type Answer, json } from '../server/answer.ts';
import { bearerOf, type Exchange, isOpenAiInference, type Wire } from '../server/exchange.ts';
import type { LoadingHabit, ShelvedModel } from '../server/model-shelf.ts';
import { modelList, type OpenAiManner, serveOpenAi } from './serve-openai.ts';

const DIALECT: ChatDialect = {
  ...OPENAI_DIALECT,
  continuesLastMessage: 'always',
  envelope: (model) => ({ system_fingerprint: model }),
  messageExtras: {},
  honoursChoiceCount: false,
  nullUsageBefore: false,
  usage: (plan) => ({
    ...plainUsage(plan),
    ...(plan.reasoningTokens > 0 ? { completion_tokens_details: { reasoning_tokens: plan.reasoningTokens } } : {}),
  }),
};

/** The beta REST wire adds statistics (seconds) to the same reply. */
function nativeDialect({ behaviour }: Exchange): ChatDialect {
  const statistics = (plan: ChatPlan) => ({
    stats: {
      tokens_per_second: Math.min(behaviour.tokensPerSecond, 10_000),
      time_to_first_token: behaviour.firstTokenMs / 1000,
      generation_time: plan.completionTokens / Math.min(behaviour.tokensPerSecond, 10_000),
      stop_reason: plan.choices[0]?.finishReason === 'length' ? 'maxPredictedTokensReached' : 'eosFound',
    },
    model_info: { arch: 'simulated', quant: 'Q4_K_M', format: 'gguf', context_length: 8192 },
    runtime: { name: 'llama.cpp-simulated', version: '1.52.0', supported_formats: ['gguf'] },
  });
  return { ...DIALECT, closingExtras: statistics };
}

function noModelLoaded(): Answer {
  const message = "No models loaded. Please load a model in the developer page or use the 'lms load' command.";
  return json(400, { error: { message, type: 'invalid_request_error', param: 'model', code: null } });
}

/** With JIT loading any model on disk may be named; an empty name means the first loaded one. */
function pick({ shelf, behaviour }: Exchange, name: string): ShelvedModel | Answer {
  const model = name === '' ? (shelf.loaded()[0] ?? null) : shelf.find(name);
  if (model === null && name !== '' && behaviour.jitLoading) {
    const message = `Model "${name}" not found. Please specify a valid model.`;
    return json(400, { error: { message, type: 'invalid_request_error', param: 'model', code: 'model_not_found' } });
  }
  if (model === null || (model.state !== 'loaded' && !behaviour.jitLoading)) return noModelLoaded();
  return model;
}

/** At most one model that a request loaded; it is put out for the next one even while it answers (lmstudio-bug-tracker#1796). */
const JUST_IN_TIME: LoadingHabit = { keep: 1, counted: 'by-requests', whenBusy: 'breaks-answers', loadsCopies: true };
const EXPLICIT: LoadingHabit = { ...JUST_IN_TIME, keep: Number.POSITIVE_INFINITY, loadsCopies: false };

const MANNER: OpenAiManner = {
  dialect: DIALECT,
  pick,
  loading: JUST_IN_TIME,
  overflow: (promptTokens, contextLength) =>
    json(400, {
      error: `The number of tokens to keep from the initial prompt is greater than the context length (n_keep: ${promptTokens}>= n_ctx: ${contextLength}). Try to load the model with a larger context length, or provide a shorter input`,
    }),
  badBody: (message) => json(400, { error: message }),
  headers: () => ({}),
  honoursBase64: false,
};

function nativeModel(model: ShelvedModel) {
  const { spec } = model;
  const chat = spec.kind !== 'embedding';
  const contextLength = spec.contextLength ?? 8192;
  const config = chat
    ? {
        context_length: contextLength,
        eval_batch_size: 512,
        parallel: model.slots.capacity,
        flash_attention: true,
        offload_kv_cache_to_gpu: true,
      }
    : { context_length: contextLength };
  const instances = model.state === 'loaded' ? (spec.instanceIds ?? [spec.id]) : [];
  return {
    type: chat ? 'llm' : 'embedding',
    publisher: 'simulated',
    key: spec.id,
    display_name: spec.id,
    ...(chat ? { architecture: 'simulated' } : {}),
    quantization: { name: 'Q4_K_M', bits_per_weight: 4 },
    size_bytes: 4_000_000_000,
    params_string: chat ? '7B' : null,
    loaded_instances: instances.map((id) => ({ id, config })),
    max_context_length: spec.maxContextLength ?? 131_072,
    format: 'gguf',
    ...(chat
      ? {
          capabilities: { vision: spec.vision ?? true, trained_for_tool_use: true },
          description: null,
          variants: [`${spec.id}@q4_k_m`],
          selected_variant: `${spec.id}@q4_k_m`,
        }
      : {}),
  };
}

function betaModel({ spec, state }: ShelvedModel) {
  return {
    id: spec.id,
    object: 'model',
    type: spec.kind === 'embedding' ? 'embeddings' : 'llm',
    publisher: 'simulated',
    arch: 'simulated',
    compatibility_type: 'gguf',
    quantization: 'Q4_K_M',
    state: state === 'loaded' ? 'loaded' : 'not-loaded',
    max_context_length: spec.maxContextLength ?? 131_072,
    ...(state === 'loaded' ? { loaded_context_length: spec.contextLength ?? 8192 } : {}),
  };
}

/** With JIT loading off the compatible lists name loaded models only. */
function listed({ shelf, behaviour }: Exchange): readonly ShelvedModel[] {
  return behaviour.jitLoading ? shelf.all() : shelf.loaded();
}

function get(exchange: Exchange): Answer | null {
  const { path } = exchange.request;
  if (path === '/lmstudio-greeting') return json(200, { lmstudio: true });
  if (path === '/api/v1/models') {
    return exchange.behaviour.nativeApi ? json(200, { models: exchange.shelf.all().map(nativeModel) }) : null;
  }
  if (path === '/api/v0/models') return json(200, { object: 'list', data: listed(exchange).map(betaModel) });
  if (path.startsWith('/api/v0/models/')) {
    const model = exchange.shelf.find(decodeURIComponent(path.slice('/api/v0/models/'.length)));
    return model === null ? null : json(200, betaModel(model));
  }
  if (path === '/v1/models') {
    return json(
      200,
      modelList(
        listed(exchange).map((model) => model.spec.id),
        { owned_by: 'organization_owner' },
      ),
    );
  }
  return null;
}

async function load(exchange: Exchange): Promise<Answer> {
  const { shelf, behaviour, body, gone } = exchange;
  const model = shelf.find(String(body?.['model'] ?? ''));
  if (model === null) return json(404, { error: { type: 'model_not_found', message: 'Model not found' } });
  await shelf.ensureLoaded(model, behaviour.loadMs, EXPLICIT, gone);
  model.loadedByRequest = false;
  return json(200, {
    type: 'llm',
    instance_id: model.spec.id,
    load_time_seconds: behaviour.loadMs / 1000,
    status: 'loaded',
  });
}

function unload({ shelf, body }: Exchange): Answer {
  const model = shelf.find(String(body?.['instance_id'] ?? ''));
  if (model === null) return json(404, { error: { type: 'model_not_found', message: 'Instance not found' } });
  shelf.unload(model);
  return json(200, { instance_id: model.spec.id });
}

function post(exchange: Exchange): Promise<Answer> | Answer | null {
  const { path } = exchange.request;
  if (path === '/api/v1/models/load') return load(exchange);
  if (path === '/api/v1/models/unload') return unload(exchange);
  if (path.startsWith('/v1/')) return serveOpenAi(exchange, path.slice('/v1/'.length), MANNER);
  if (!path.startsWith('/api/v0/')) return null;
  return serveOpenAi(exchange, path.slice('/api/v0/'.length), { ...MANNER, dialect: nativeDialect(exchange) });
}

function answer(exchange: Exchange): Promise<Answer> | Answer {
  const { method, path } = exchange.request;
  const served = method === 'GET' ? get(exchange) : method === 'POST' ? post(exchange) : null;
  return served ?? json(200, { error: `Unexpected endpoint or method. (${method} ${path})` });
}

function refuseStranger({ request }: Exchange, apiKey: string): Answer | null {
  if (request.path === '/lmstudio-greeting' || bearerOf(request) === apiKey) return null;
  const message = 'An LM Studio API token is required to make requests to this server.';
  return json(401, { error: { type: 'invalid_request', code: 'invalid_api_key', message } });
}

/** LM Studio: its native listings (v1, v0), its OpenAI paths, models that load when named, and a silent queue. */
export const lmStudioWire: Wire = {
  kind: 'lm-studio',
  defaults: { slots: 4 },
  basePath: '',
  headers: { 'x-powered-by': 'Express', connection: 'keep-alive', 'keep-alive': 'timeout=5' },
  isInference: isOpenAiInference,
  errorBody: (status, message) =>
    status === 400 ? { error: message } : { error: { message, type: 'internal_error', param: null, code: null } },
  refuseStranger,
  answer,
};
