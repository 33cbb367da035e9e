import { randomUUID } from 'node:crypto';
import { type ChatDialect, OPENAI_DIALECT } from '../generation/chat-dialect.ts';
import type { JsonObject } from '../generation/chat-request.ts';
import { type Answer, json } from '../server/answer.ts';
import { bearerOf, type Exchange, isOpenAiInference, type Wire } from '../server/exchange.ts';
import type { ShelvedModel } from '../server/model-shelf.ts';
import { openAiOverflow } from './openai-compatible.ts';
import { modelList, type OpenAiManner, replyModel, STAYS_LOADED, serveOpenAi } from './serve-openai.ts';

const V1 = '/openai/v1/';
const SAFE = { filtered: false, severity: 'safe' };
const FILTERS = { hate: SAFE, self_harm: SAFE, sexual: SAFE, violence: SAFE };
const PROMPT_FILTERS = [{ prompt_index: 0, content_filter_results: FILTERS }];

function errorBody(status: number, message: string): unknown {
  return { error: { code: String(status), message } };
}

/** The first chunk has no choice, no id and no model; with the asynchronous filter a choice without a delta comes last. */
function dialect({ behaviour }: Exchange): ChatDialect {
  const opening: JsonObject = {
    id: '',
    object: '',
    created: 0,
    model: '',
    prompt_filter_results: PROMPT_FILTERS,
    choices: [],
  };
  const filtered: JsonObject = {
    content_filter_results: FILTERS,
    content_filter_offsets: { check_offset: 0, start_offset: 0, end_offset: 64 },
    finish_reason: null,
  };
  return {
    ...OPENAI_DIALECT,
    choiceExtras: { logprobs: null, content_filter_results: FILTERS },
    closingExtras: () => ({ prompt_filter_results: PROMPT_FILTERS }),
    openingChunks: () => [opening],
    afterFinish: () => (behaviour.asyncFilter ? [filtered] : []),
  };
}

function deploymentNotFound(): Answer {
  const message =
    'The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.';
  return json(404, { error: { code: 'DeploymentNotFound', message } });
}

/** `deployment`: from the path of the classic form; null: the body's `model` names it. */
function manner(exchange: Exchange, deployment: string | null): OpenAiManner {
  return {
    dialect: dialect(exchange),
    pick: ({ shelf }, name): ShelvedModel | Answer => shelf.find(deployment ?? name) ?? deploymentNotFound(),
    loading: STAYS_LOADED,
    overflow: openAiOverflow,
    badBody: (message) => json(400, { error: { message, type: 'invalid_request_error', param: null, code: null } }),
    headers: () => ({
      'apim-request-id': randomUUID(),
      'x-ms-region': 'Simulated',
      'x-ratelimit-remaining-requests': '99',
      'x-ratelimit-remaining-tokens': '99999',
    }),
    honoursBase64: true,
  };
}

function answer(exchange: Exchange): Answer | Promise<Answer> {
  const { method, path } = exchange.request;
  if (method === 'GET' && path === '/openai/v1/models') {
    // Models available to the resource, not its deployments.
    return json(200, modelList([...new Set(exchange.shelf.all().map(replyModel))], { owned_by: 'azure' }));
  }
  if (method === 'POST') return serve(exchange) ?? notFound();
  return notFound();
}

function serve(exchange: Exchange): Promise<Answer> | Answer | null {
  const { path } = exchange.request;
  if (path.startsWith(V1)) return serveOpenAi(exchange, path.slice(V1.length), manner(exchange, null));
  const [, deployment, operation] = path.match(/^\/openai\/deployments\/([^/]+)\/(.+)$/) ?? [];
  if (deployment === undefined || operation === undefined) return null;
  if (exchange.query.get('api-version') === null) return notFound();
  return serveOpenAi(exchange, operation, manner(exchange, decodeURIComponent(deployment)));
}

function notFound(): Answer {
  return json(404, errorBody(404, 'Resource not found'));
}

/** Azure OpenAI: both URL forms, deployments in place of models, filter results in every chunk. */
export const azureOpenAiWire: Wire = {
  kind: 'azure-openai',
  defaults: { earlyHeaders: true },
  basePath: '',
  headers: {},
  isInference: isOpenAiInference,
  errorBody,
  refuseStranger: ({ request }, apiKey) => {
    if (request.headers['api-key'] === apiKey || bearerOf(request) === apiKey) return null;
    const message =
      'Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription.';
    return json(401, errorBody(401, message));
  },
  answer,
};
