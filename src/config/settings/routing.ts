import { MAX_FIRST_TOKEN_LIMIT_MS } from '../../core/route.ts';
import { boolean, choice, integer, mapping, seconds, text } from '../setting-kinds.ts';
import { modelName, optional, setting } from './setting.ts';

/** Which model answers, and where. */
export const ROUTING = {
  defaultModel: optional('SWARMROUTER_DEFAULT_MODEL', modelName, 'unset: the loaded one', {
    group: 'Models',
    doc: 'The model for requests that name none, or `auto`.',
    example: 'qwen2.5-7b-instruct',
  }),
  modelAliases: optional(
    'SWARMROUTER_MODEL_ALIASES',
    mapping('`asked=target-model` pairs, separated by commas'),
    'unset: none',
    {
      group: 'Models',
      doc: 'Names that stand for another model; the target may be provider-qualified (`openrouter/openai/gpt-4o-mini`).',
      example: 'gpt-4o=qwen2.5-7b-instruct',
    },
  ),
  standIn: setting('SWARMROUTER_STAND_IN', choice(['always', 'unknown', 'never']), 'always', {
    group: 'Models',
    doc: 'When the loaded local model answers for a name that no local server has: `always`, only for names that no target at all has (`unknown`), or `never`.',
  }),

  strategy: setting('SWARMROUTER_STRATEGY', text('the name of a routing strategy', 'strategy'), 'local-first', {
    group: 'Routing',
    doc: 'How targets are chosen. `local-first`: your own servers first, the cloud when they are down, full, too slow or failing. `fastest`: local and cloud together, by what each is expected to take in seconds.',
  }),
  streamRecovery: setting('SWARMROUTER_STREAM_RECOVERY', choice(['off', 'continue']), 'off', {
    group: 'Routing',
    doc: 'What happens to a text answer that breaks after its first token: `off` ends it with an error event, `continue` has another target go on where it broke (llama.cpp, vLLM, SGLang, LM Studio, Ollama, and targets that say `continues_answers`).',
  }),
  maxFirstTokenMs: optional(
    'SWARMROUTER_MAX_FIRST_TOKEN_MS',
    integer(1, MAX_FIRST_TOKEN_LIMIT_MS, 'ms'),
    'unset: no limit',
    {
      group: 'Routing',
      doc: 'How long the first token of an answer may take at your own servers: while the prediction keeps it, a request waits for a local slot; when not, it goes to the cloud at once. Unset: it goes to the cloud when all suitable local slots are taken. A request may say its own (`x-swarmrouter-max-first-token-ms`).',
      example: '5000',
    },
  ),
  maxRetries: setting('SWARMROUTER_MAX_RETRIES', integer(0, 20), '3', {
    group: 'Routing',
    doc: 'Further attempts after the first one failed; servers that could not be reached do not count. From two on, the last one is for the cloud when only your own servers have failed so far, and the other way round.',
  }),
  retryDelayMs: setting('SWARMROUTER_RETRY_DELAY', seconds(0, 60), '1.0', {
    group: 'Routing',
    doc: 'Pause before the same target is tried again, when there is no other.',
  }),
  retryBudgetPercent: setting('SWARMROUTER_RETRY_BUDGET', integer(0, 100, '%'), '20', {
    restart: true,
    group: 'Routing',
    doc: 'How often a target may be asked out of turn (the same request again, or while it rests after failures), in percent of its regular requests: an outage must not multiply the load.',
  }),
  retryBudgetFloor: setting('SWARMROUTER_RETRY_BUDGET_FLOOR', integer(0, 1_000), '1', {
    restart: true,
    group: 'Routing',
    doc: 'Requests out of turn per second and target that are allowed beside that budget.',
  }),
  maxConcurrent: optional(
    'SWARMROUTER_MAX_CONCURRENT',
    integer(1, 10_000),
    'unset: the slots it reports, else LM Studio 4, Ollama 1, others 4',
    {
      group: 'Routing',
      doc: 'Requests at once on one local target; further ones overflow to the cloud. Cloud targets have no limit.',
      example: '4',
    },
  ),
  queueLimit: setting('SWARMROUTER_QUEUE_LIMIT', integer(0, 100_000), '256', {
    group: 'Routing',
    doc: 'Requests that may wait at once for a slot of one local target, when no cloud provider can serve them; more are refused.',
  }),
  probeIntervalMs: setting('SWARMROUTER_PROBE_INTERVAL', seconds(0.1, 3600), '5', {
    group: 'Routing',
    doc: 'Time between two health probes of a target. A local one that is down is probed every second.',
  }),
  assemble: setting('SWARMROUTER_ASSEMBLE', boolean, 'true', {
    group: 'Routing',
    doc: 'Ask local servers for a stream also when the client wants a whole reply, and assemble it: only then can a stalled server be told from a slow one.',
  }),
} as const;
