// Every setting, declared once. Parsing, errors, .env.example, docs/reference/settings.md, the flags of the
// command line and `swarmrouter check` are all derived from this table.
import { USD_A_KWH, WATTS } from '../core/price-override.ts';
import { MAX_FIRST_TOKEN_LIMIT_MS } from '../core/route.ts';
import { addressRanges } from './address-ranges.ts';
import { issuer, publicOrigin, roleRules, scopes } from './oidc-kinds.ts';
import type { Parsed } from './setting-kinds.ts';
import {
  adminKey,
  boolean,
  choice,
  decimal,
  hostName,
  integer,
  type Kind,
  listOf,
  mapping,
  masterKeys,
  pepper,
  postgresUrl,
  seconds,
  secret,
  text,
  url,
} from './setting-kinds.ts';

export const SETTING_GROUPS = [
  'LM Studio',
  'Other local servers',
  'OpenRouter',
  'Azure OpenAI',
  'Models',
  'Routing',
  'Clocks',
  'Server',
  'Logins',
  'Usage',
  'Logging',
] as const;
export type SettingGroup = (typeof SETTING_GROUPS)[number];

export interface Setting<T> {
  /** The environment variable. */
  readonly name: string;
  readonly kind: Kind<NonNullable<T>>;
  readonly default: T;
  /** The default as documentation says it. */
  readonly defaultDoc: string;
  readonly doc: string;
  readonly group: SettingGroup;
  /** A value for the commented line of `.env.example`. */
  readonly example: string;
  /** False: it says where the YAML file is, so the file cannot hold it. */
  readonly inYaml: boolean;
  /** A change counts only after a restart. */
  readonly restart: boolean;
}

interface Declaration {
  readonly group: SettingGroup;
  readonly doc: string;
  readonly example?: string;
  readonly inYaml?: boolean;
  readonly restart?: boolean;
}

function checkedDefault<T>(name: string, parsed: Parsed<T>): T {
  if (parsed.ok) return parsed.value;
  throw new Error(`the default of ${name} is not allowed: ${parsed.reason}`);
}

/** A setting that always has a value. `written` is the default as a person would write it. */
function setting<T>(name: string, kind: Kind<T>, written: string, rest: Declaration): Setting<T> {
  return {
    name,
    kind: kind as Kind<NonNullable<T>>,
    default: checkedDefault(name, kind.parse(written)),
    defaultDoc: written,
    doc: rest.doc,
    group: rest.group,
    example: rest.example ?? written,
    inYaml: rest.inYaml ?? true,
    restart: rest.restart ?? false,
  };
}

/** A setting that may be unset; `unset` says what then happens. */
function optional<T>(name: string, kind: Kind<T>, unset: string, rest: Declaration): Setting<T | null> {
  return {
    name,
    kind: kind as Kind<NonNullable<T>>,
    default: null,
    defaultDoc: unset,
    doc: rest.doc,
    group: rest.group,
    example: rest.example ?? '',
    inYaml: rest.inYaml ?? true,
    restart: rest.restart ?? false,
  };
}

const A_DAY = 86_400;
const urls = listOf(
  url,
  'url list',
  'one URL or several, separated by commas: http:// or https://, without user name, query and fragment',
);
const hosts = listOf(hostName, 'host list', 'host names without ports, separated by commas');
const model = text('a model name', 'model');

const localUrls = (name: string, server: string, port: number): Setting<readonly string[] | null> =>
  optional(name, urls, `unset: looked for on localhost:${port} unless a local URL is configured`, {
    group: 'Other local servers',
    doc: `Address of ${server}, one or several separated by commas.`,
    example: `http://localhost:${port}`,
  });

export const SETTINGS = {
  lmstudioEnabled: optional('LMSTUDIO_ENABLED', boolean, 'unset: on', {
    group: 'LM Studio',
    doc: 'Whether LM Studio is used. `true` says that it is expected: its absence is then reported.',
    example: 'true',
  }),
  lmstudioUrl: optional('LMSTUDIO_URL', urls, 'unset: http://localhost:1234', {
    group: 'LM Studio',
    doc: 'Address of LM Studio, one or several separated by commas. A pasted `/v1` at the end is dropped.',
    example: 'http://localhost:1234',
  }),
  lmstudioTimeoutMs: setting('LMSTUDIO_TIMEOUT', seconds(0.1, A_DAY), '30', {
    group: 'Clocks',
    doc: 'How long a local server, of any kind, whose model is loaded may take to its first byte.',
  }),
  lmstudioApiKey: optional('LMSTUDIO_API_KEY', secret, 'unset: none is sent', {
    group: 'LM Studio',
    doc: 'API token of LM Studio, when its server asks for one.',
  }),

  ollamaUrl: localUrls('OLLAMA_URL', 'Ollama', 11434),
  llamacppUrl: optional(
    'LLAMACPP_URL',
    urls,
    'unset: looked for on localhost:8080 and 9931 unless a local URL is configured',
    {
      group: 'Other local servers',
      doc: 'Address of llama.cpp (llama-server), one or several separated by commas.',
      example: 'http://localhost:8080',
    },
  ),
  vllmUrl: localUrls('VLLM_URL', 'vLLM', 8000),
  sglangUrl: localUrls('SGLANG_URL', 'SGLang', 30000),

  openrouterEnabled: optional('OPENROUTER_ENABLED', boolean, 'unset: on when the key is there', {
    group: 'OpenRouter',
    doc: 'Whether requests may overflow to OpenRouter.',
    example: 'true',
  }),
  openrouterApiKey: optional('OPENROUTER_API_KEY', secret, 'unset: OpenRouter is off', {
    group: 'OpenRouter',
    doc: 'API key of OpenRouter (https://openrouter.ai/keys).',
  }),
  openrouterBaseUrl: setting('OPENROUTER_BASE_URL', url, 'https://openrouter.ai/api/v1', {
    group: 'OpenRouter',
    doc: "Base of OpenRouter's API.",
  }),
  openrouterDefaultModel: optional('OPENROUTER_DEFAULT_MODEL', model, 'unset: none', {
    group: 'OpenRouter',
    doc: 'The model that takes requests for names that OpenRouter does not know.',
    example: 'openai/gpt-4o-mini',
  }),

  azureEnabled: optional('AZURE_ENABLED', boolean, 'unset: on when the key is there', {
    group: 'Azure OpenAI',
    doc: 'Whether requests may overflow to Azure OpenAI.',
    example: 'true',
  }),
  azureEndpoint: optional('AZURE_ENDPOINT', url, 'unset: Azure is off', {
    group: 'Azure OpenAI',
    doc: 'Endpoint of the Azure OpenAI resource. A pasted `/openai/v1` at the end is dropped.',
    example: 'https://my-resource.openai.azure.com',
  }),
  azureApiKey: optional('AZURE_API_KEY', secret, 'unset: Azure is off', {
    group: 'Azure OpenAI',
    doc: 'API key of the Azure OpenAI resource.',
  }),
  azureApiVersion: optional(
    'AZURE_API_VERSION',
    text('an API version such as 2024-10-21', 'version'),
    'unset: the /openai/v1 form',
    {
      group: 'Azure OpenAI',
      doc: 'API version of the classic URL form (`/openai/deployments/…`).',
      example: '2024-10-21',
    },
  ),
  azureDeployments: optional(
    'AZURE_DEPLOYMENTS',
    mapping('`model=deployment` pairs, separated by commas'),
    'unset: the deployment is named like the model',
    {
      group: 'Azure OpenAI',
      doc: 'Which deployment answers for which asked model.',
      example: 'gpt-4o=my-gpt-4o,gpt-4o-mini=my-mini',
    },
  ),
  azureDefaultDeployment: optional('AZURE_DEFAULT_DEPLOYMENT', text('a deployment name', 'deployment'), 'unset: none', {
    group: 'Azure OpenAI',
    doc: 'The deployment that takes requests for names that Azure does not know.',
    example: 'my-mini',
  }),

  defaultModel: optional('SWARMROUTER_DEFAULT_MODEL', model, 'unset: the loaded one', {
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

  connectTimeoutMs: optional('SWARMROUTER_CONNECT_TIMEOUT', seconds(0.01, 600), 'unset: 2 local, 5 cloud', {
    group: 'Clocks',
    doc: 'Until the connection to a target stands.',
    example: '2',
  }),
  overflowTimeoutMs: setting('SWARMROUTER_OVERFLOW_TIMEOUT', seconds(0.1, A_DAY), '60', {
    group: 'Clocks',
    doc: 'How long a cloud provider may take to its first byte.',
  }),
  firstTokenTimeoutMs: optional('SWARMROUTER_FIRST_TOKEN_TIMEOUT', seconds(0.1, A_DAY), 'unset: 120 local, 60 cloud', {
    group: 'Clocks',
    doc: 'Until the first real content of a stream.',
    example: '120',
  }),
  idleTimeoutMs: optional('SWARMROUTER_IDLE_TIMEOUT', seconds(0.1, A_DAY), 'unset: 120 local, 30 cloud', {
    group: 'Clocks',
    doc: 'Between two chunks of a stream.',
    example: '120',
  }),
  queueTimeoutMs: setting('SWARMROUTER_QUEUE_TIMEOUT', seconds(0, A_DAY), '60', {
    group: 'Clocks',
    doc: 'How long a request may wait for a local slot.',
  }),
  warmupTimeoutMs: setting('SWARMROUTER_WARMUP_TIMEOUT', seconds(0.1, A_DAY), '180', {
    group: 'Clocks',
    doc: 'Until the first real content when the local model still has to be loaded.',
  }),
  cancelGraceMs: setting('SWARMROUTER_CANCEL_GRACE', seconds(0, 600), '2', {
    group: 'Clocks',
    doc: 'How long a slot of LM Studio stays counted after a request was cancelled before its first token: LM Studio reads a prompt to its end all the same.',
  }),
  requestTimeoutMs: setting('SWARMROUTER_REQUEST_TIMEOUT', seconds(0.1, A_DAY), '300', {
    group: 'Clocks',
    doc: 'One request in all, over every attempt, until its reply begins.',
  }),
  streamTimeoutMs: setting('SWARMROUTER_STREAM_TIMEOUT', seconds(1, A_DAY), '1800', {
    group: 'Clocks',
    doc: 'How long a stream that keeps producing may run.',
  }),
  clientStallMs: setting('SWARMROUTER_CLIENT_STALL_TIMEOUT', seconds(0.1, A_DAY), '60', {
    group: 'Clocks',
    doc: 'A client that takes nothing of its stream for this long is let go.',
  }),
  drainTimeoutMs: setting('SWARMROUTER_DRAIN_TIMEOUT', seconds(0, 3600), '30', {
    restart: true,
    group: 'Clocks',
    doc: 'How long requests in flight may finish after SIGTERM or SIGINT.',
  }),

  host: setting('SWARMROUTER_HOST', hostName, '127.0.0.1', {
    restart: true,
    group: 'Server',
    doc: 'Address to listen on. Anything but loopback needs SWARMROUTER_ADMIN_KEY or a client key.',
  }),
  port: setting('SWARMROUTER_PORT', integer(0, 65_535), '8000', {
    restart: true,
    group: 'Server',
    doc: 'Port to listen on; 0 takes any free one.',
  }),
  allowedHosts: optional('SWARMROUTER_ALLOWED_HOSTS', hosts, 'unset: localhost and loopback addresses', {
    restart: true,
    group: 'Server',
    doc: 'Further names that a request may carry in `Host` while the gateway listens on loopback (behind a reverse proxy, for instance).',
    example: 'ai.example.com',
  }),
  trustedProxies: optional('SWARMROUTER_TRUSTED_PROXIES', addressRanges, 'unset: `X-Forwarded-For` is not looked at', {
    restart: true,
    group: 'Server',
    doc: 'Reverse proxies whose `X-Forwarded-For` is believed: addresses and networks, as they connect to the gateway. A client is then the rightmost address there that is none of them; wrong logins, slow bodies and the audit log are counted and told by it. Whoever can connect from one of these addresses can say to be anybody.',
    example: '127.0.0.1,10.0.0.0/8',
  }),
  adminKey: optional('SWARMROUTER_ADMIN_KEY', adminKey, 'unset: made at first start and kept in the data folder', {
    restart: true,
    group: 'Server',
    doc: 'Key for `/admin/*`, at least 16 characters. Make it with `openssl rand -hex 32`.',
  }),
  dataDir: optional('SWARMROUTER_DATA_DIR', text('a folder', 'folder'), "unset: the platform's user data folder", {
    restart: true,
    group: 'Server',
    doc: 'Where the gateway keeps its admin key and the providers added at run time.',
    example: '~/.local/share/swarmrouter',
  }),
  maxBodyMegabytes: setting('SWARMROUTER_MAX_BODY_MB', integer(1, 1024, 'MB'), '32', {
    restart: true,
    group: 'Server',
    doc: 'Largest request body accepted.',
  }),
  bodyTimeoutMs: setting('SWARMROUTER_BODY_TIMEOUT', seconds(0.1, 3600), '20', {
    restart: true,
    group: 'Clocks',
    doc: 'How long the body of a request may take to come; each 16 KiB of it that came earn it one second more.',
  }),
  slowBodyLimit: setting('SWARMROUTER_SLOW_BODY_LIMIT', integer(1, 100_000), '64', {
    restart: true,
    group: 'Server',
    doc: 'Request bodies of one key (of one address where no key is needed) that may be under way at once for more than a second; more are refused with 429.',
  }),
  maxMemoryMegabytes: optional(
    'SWARMROUTER_MAX_MEMORY_MB',
    integer(64, 1_048_576, 'MB'),
    'unset: 3/4 of the memory there is',
    {
      restart: true,
      group: 'Server',
      doc: 'Above this much memory of the process new inference requests are refused with 503.',
      example: '2048',
    },
  ),
  maxLoopLagMs: setting('SWARMROUTER_MAX_LOOP_LAG', seconds(0.01, 60), '0.5', {
    restart: true,
    group: 'Server',
    doc: 'While everything the process does comes late by more than this, new inference requests are refused with 503.',
  }),
  configFile: optional(
    'SWARMROUTER_CONFIG',
    text('the path of a YAML file', 'file'),
    'unset: swarmrouter.yaml in the working folder, if it is there',
    {
      group: 'Server',
      doc: 'The YAML file with what variables cannot say well.',
      example: 'swarmrouter.yaml',
      inYaml: false,
    },
  ),

  publicUrl: optional('SWARMROUTER_PUBLIC_URL', publicOrigin, 'unset: a loopback address, as each request names it', {
    restart: true,
    group: 'Logins',
    doc: 'Where browsers reach the gateway, through a proxy with TLS for instance. Its name may stand in `Host`, and with https the cookies of people are for TLS alone. Logins at an identity provider come back to `/admin/login/oidc/callback` there, which is what is registered at the provider. With SWARMROUTER_OIDC_ISSUER it must be given when the gateway listens on more than loopback.',
    example: 'https://ai.example.com',
  }),
  oidcIssuer: optional('SWARMROUTER_OIDC_ISSUER', issuer, 'unset: people log in with passwords alone', {
    restart: true,
    group: 'Logins',
    doc: 'Identity provider (OpenID Connect) that people log in at. Goes with SWARMROUTER_OIDC_CLIENT_ID and SWARMROUTER_OIDC_ROLES.',
    example: 'https://login.example.com/realms/staff',
  }),
  oidcClientId: optional('SWARMROUTER_OIDC_CLIENT_ID', text('a client id', 'id'), 'unset', {
    restart: true,
    group: 'Logins',
    doc: 'What the gateway is called at the identity provider.',
    example: 'swarmrouter',
  }),
  oidcClientSecret: optional(
    'SWARMROUTER_OIDC_CLIENT_SECRET',
    secret,
    'unset: a client without one, which PKCE protects',
    {
      restart: true,
      group: 'Logins',
      doc: 'Secret of that client.',
    },
  ),
  oidcRoles: optional('SWARMROUTER_OIDC_ROLES', roleRules, 'unset', {
    restart: true,
    group: 'Logins',
    doc: 'Which role a claim gives: `claim:value=role`, or `claim:value=role:project` for one project, several separated by commas. A claim may hold one value or a list; `a.b` is also looked for as `b` in `a`. Whoever gets no role is not let in.',
    example: 'groups:platform=admin,groups:web=member:web',
  }),
  oidcScopes: setting('SWARMROUTER_OIDC_SCOPES', scopes, 'openid profile', {
    restart: true,
    group: 'Logins',
    doc: 'What the gateway asks the identity provider for.',
  }),
  oidcNameClaim: setting('SWARMROUTER_OIDC_NAME_CLAIM', text('the name of a claim', 'claim'), 'preferred_username', {
    restart: true,
    group: 'Logins',
    doc: 'The claim that people are shown by. It says nothing about who they are: that is the issuer and its subject.',
  }),

  usage: setting('SWARMROUTER_USAGE', boolean, 'false', {
    restart: true,
    group: 'Usage',
    doc: 'Keep what each upstream call used and cost, in a database: `swarmrouter usage`, `GET /admin/usage`. It holds no words of requests or answers.',
  }),
  budgetAnswerTokens: setting('SWARMROUTER_BUDGET_ANSWER_TOKENS', integer(256, 1_000_000, 'tokens'), '4096', {
    restart: true,
    group: 'Usage',
    doc: 'Under a hard budget: the most tokens of an answer whose length the client does not limit. So many are set aside before the call, and the server is asked for no more.',
  }),
  databaseUrl: optional('SWARMROUTER_DATABASE_URL', postgresUrl, 'unset: SQLite, in the data folder', {
    restart: true,
    group: 'Usage',
    doc: 'PostgreSQL instead of SQLite: `postgres://user:password@host:5432/name`.',
  }),
  keyPepper: optional(
    'SWARMROUTER_KEY_PEPPER',
    pepper,
    'unset: made with the first client key and kept in the data folder',
    {
      restart: true,
      group: 'Usage',
      doc: 'What client keys are hashed with. Several gateways on one PostgreSQL need the same one. Make it with `openssl rand -hex 32`, or take what the file `key-pepper` of the first gateway holds.',
    },
  ),
  masterKey: optional(
    'SWARMROUTER_MASTER_KEY',
    masterKeys,
    'unset: made with the first provider key and kept in the data folder',
    {
      restart: true,
      group: 'Server',
      doc: 'What the keys of providers that are given at run time are sealed with. Kept outside the data folder, a copy of that folder opens none of them. Make it with `openssl rand -hex 32`. To change it, put the new one and a comma before it and start again; then the old one may go.',
    },
  ),
  localWatts: optional(
    'SWARMROUTER_LOCAL_WATTS',
    decimal(WATTS.places, WATTS.most, 'W'),
    'unset: answers of local servers are free',
    {
      group: 'Usage',
      doc: 'What a local server draws while it writes one answer: with SWARMROUTER_KWH_USD the price of local answers. Servers that differ: `local_rates` in the YAML file.',
      example: '300',
    },
  ),
  kwhUsd: optional('SWARMROUTER_KWH_USD', decimal(USD_A_KWH.places, USD_A_KWH.most, 'USD'), 'unset', {
    group: 'Usage',
    doc: 'What a kilowatt-hour costs; goes with SWARMROUTER_LOCAL_WATTS.',
    example: '0.30',
  }),
  compareWith: optional(
    'SWARMROUTER_COMPARE_WITH',
    mapping('`local=cloud` pairs of models, separated by commas'),
    'unset: with a cloud model of the same name',
    {
      group: 'Usage',
      doc: 'Which cloud model a local one is compared with, for what it saved; `*` stands for all that have no other.',
      example: 'my-tune=openai/gpt-4o-mini,*=openai/gpt-4.1-nano',
    },
  ),

  logLevel: setting('SWARMROUTER_LOG_LEVEL', choice(['DEBUG', 'INFO', 'WARN', 'ERROR'], { warning: 'WARN' }), 'INFO', {
    restart: true,
    group: 'Logging',
    doc: 'Least important lines that are still written.',
  }),
  logRequests: setting('SWARMROUTER_LOG_REQUESTS', boolean, 'false', {
    restart: true,
    group: 'Logging',
    doc: 'Write request bodies to the log. They hold what people asked.',
  }),
  logResponses: setting('SWARMROUTER_LOG_RESPONSES', boolean, 'false', {
    restart: true,
    group: 'Logging',
    doc: 'Write reply bodies to the log. They hold what models answered.',
  }),
  decisions: setting('SWARMROUTER_DECISIONS', integer(0, 100_000), '1000', {
    restart: true,
    group: 'Logging',
    doc: 'Latest requests whose routing decision is kept in memory for `/admin/decisions`, without their words; 0 keeps none. Each takes a few kilobytes.',
  }),
} as const;

export type SettingKey = keyof typeof SETTINGS;
/** The checked values, by key. */
export type Values = { readonly [K in SettingKey]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never };

/** The table as a list, in its order. */
export const SETTING_LIST = Object.entries(SETTINGS) as readonly (readonly [SettingKey, Setting<unknown>])[];

/** `SWARMROUTER_MAX_RETRIES` → `max_retries`, `LMSTUDIO_URL` → `lmstudio_url`. */
export const yamlKeyOf = (name: string): string => name.replace(/^SWARMROUTER_/, '').toLowerCase();
/** `SWARMROUTER_MAX_RETRIES` → `max-retries`, without the dashes in front. */
export const flagOf = (name: string): string => yamlKeyOf(name).replaceAll('_', '-');

export const isSecret = (setting: Setting<unknown>): boolean => setting.kind.type === 'secret';
