import type { OverflowProvider } from '../core/overflow-provider.ts';
import {
  type AdapterKind,
  type Place,
  PROVIDER_NAMES,
  type Target,
  type TargetClocks,
  type TargetId,
  type TargetSource,
} from '../core/target.ts';
import type { Values } from './schema.ts';
import { SETTINGS } from './schema.ts';
import { baseUrlFor, sameServerKey } from './urls.ts';
import type { TargetSpec } from './yaml-targets.ts';

const LOCAL_KINDS: ReadonlySet<AdapterKind> = new Set(['lm-studio', 'ollama', 'llama-cpp', 'vllm', 'sglang', 'auto']);

/** Where each local kind listens when nobody says otherwise. */
const FOUND_AT: readonly { readonly kind: AdapterKind; readonly port: number }[] = [
  { kind: 'ollama', port: 11434 },
  { kind: 'llama-cpp', port: 8080 },
  { kind: 'llama-cpp', port: 9931 },
  { kind: 'vllm', port: 8000 },
  { kind: 'sglang', port: 30000 },
];

export const LM_STUDIO_URL = 'http://localhost:1234';

/** The clocks of a kind of place: what is set, else the place's own defaults. */
export function clocksFor(place: Place, values: Values): TargetClocks {
  const local = place === 'local';
  return {
    connectMs: values.connectTimeoutMs ?? (local ? 2_000 : 5_000),
    firstByteMs: local ? values.lmstudioTimeoutMs : values.overflowTimeoutMs,
    firstTokenMs: values.firstTokenTimeoutMs ?? (local ? 120_000 : 60_000),
    idleMs: values.idleTimeoutMs ?? (local ? 120_000 : 30_000),
    warmupMs: values.warmupTimeoutMs,
    streamMs: values.streamTimeoutMs,
    queueMs: null,
  };
}

/** Every target that the settings ask for, LM Studio first. Ids are unique if the YAML names are (see cross-checks). */
export function buildTargets(values: Values, specs: readonly TargetSpec[]): Target[] {
  const local = [
    ...localFromUrls(values, 'lm-studio', lmStudioUrls(values)),
    ...localFromUrls(values, 'ollama', values.ollamaUrl ?? []),
    ...localFromUrls(values, 'llama-cpp', values.llamacppUrl ?? []),
    ...localFromUrls(values, 'vllm', values.vllmUrl ?? []),
    ...localFromUrls(values, 'sglang', values.sglangUrl ?? []),
  ];
  const listed = specs.map((spec) => fromSpec(spec, values));
  const asked = [...local, ...listed, ...openRouter(values), ...azure(values)];
  const found = lookedFor(values, asked);
  const isLmStudio = (target: Target) => target.adapterKind === 'lm-studio';
  return [...found.filter(isLmStudio), ...asked, ...found.filter((target) => !isLmStudio(target))];
}

/** The cloud providers of the environment that count. */
export const openRouterIsOn = (values: Values): boolean =>
  values.openrouterApiKey !== null && values.openrouterEnabled !== false;
export const azureIsOn = (values: Values): boolean =>
  values.azureApiKey !== null && values.azureEndpoint !== null && values.azureEnabled !== false;

function lmStudioUrls(values: Values): readonly string[] {
  if (values.lmstudioEnabled === false) return [];
  // Enabled in so many words: it is expected, so its absence is worth telling.
  return values.lmstudioUrl ?? (values.lmstudioEnabled === true ? [LM_STUDIO_URL] : []);
}

function localFromUrls(values: Values, kind: AdapterKind, urls: readonly string[]): Target[] {
  const provider = PROVIDER_NAMES[kind] ?? kind;
  return urls.map((url, index) => {
    const id = index === 0 ? provider : `${provider}-${index + 1}`;
    return localTarget(values, kind, id, url, 'environment');
  });
}

function localTarget(values: Values, kind: AdapterKind, id: TargetId, url: string, source: TargetSource): Target {
  return {
    ...plain(id, kind, url, source),
    place: 'local',
    apiKey: kind === 'lm-studio' ? values.lmstudioApiKey : null,
    optional: source === 'found',
    maxConcurrent: values.maxConcurrent,
    clocks: clocksFor('local', values),
    assembleWholeReplies: values.assemble,
  };
}

/** What is looked for on this machine without having been asked for. */
function lookedFor(values: Values, asked: readonly Target[]): Target[] {
  const candidates: { kind: AdapterKind; url: string }[] = [];
  if (values.lmstudioEnabled === null && values.lmstudioUrl === null)
    candidates.push({ kind: 'lm-studio', url: LM_STUDIO_URL });
  if (!asked.some((target) => target.place === 'local')) {
    const others = FOUND_AT.filter(({ port }) => port !== values.port);
    candidates.push(...others.map(({ kind, port }) => ({ kind, url: `http://localhost:${port}` })));
  }
  const taken = new Set(asked.map((target) => target.id));
  const servers = new Set(asked.map((target) => sameServerKey(target.baseUrl)));
  const found: Target[] = [];
  for (const { kind, url } of candidates) {
    if (servers.has(sameServerKey(url))) continue;
    const id = freeId(PROVIDER_NAMES[kind] ?? kind, taken);
    taken.add(id);
    found.push(localTarget(values, kind, id, url, 'found'));
  }
  return found;
}

function freeId(wanted: string, taken: ReadonlySet<string>): string {
  for (let number = 1; ; number++) {
    const id = number === 1 ? wanted : `${wanted}-${number}`;
    if (!taken.has(id)) return id;
  }
}

function openRouter(values: Values): Target[] {
  if (!openRouterIsOn(values)) return [];
  return [
    {
      ...plain('openrouter', 'openrouter', values.openrouterBaseUrl, 'environment'),
      apiKey: values.openrouterApiKey,
      clocks: clocksFor('cloud', values),
      defaultModel: values.openrouterDefaultModel,
    },
  ];
}

function azure(values: Values): Target[] {
  if (!azureIsOn(values) || values.azureEndpoint === null) return [];
  return [
    {
      ...plain('azure', 'azure-openai', values.azureEndpoint, 'environment'),
      apiKey: values.azureApiKey,
      clocks: clocksFor('cloud', values),
      defaultModel: values.azureDefaultDeployment,
      deployments: values.azureDeployments ?? new Map(),
      apiVersion: values.azureApiVersion,
    },
  ];
}

/** Where a kind is when its YAML entry does not say. A LAN proxy to a cloud would leak if it counted as local, so in doubt: cloud. */
export const defaultPlace = (kind: AdapterKind): Place => (LOCAL_KINDS.has(kind) ? 'local' : 'cloud');

function fromSpec(spec: TargetSpec, values: Values): Target {
  const place = spec.place ?? defaultPlace(spec.kind);
  const usual = clocksFor(place, values);
  return {
    ...plain(spec.name, spec.kind, spec.url ?? values.openrouterBaseUrl, 'yaml'),
    place,
    apiKey: spec.api_key,
    maxConcurrent: place === 'local' ? (spec.max_concurrent ?? values.maxConcurrent) : null,
    clocks: {
      connectMs: spec.connect_timeout ?? usual.connectMs,
      firstByteMs: spec.first_byte_timeout ?? usual.firstByteMs,
      firstTokenMs: spec.first_token_timeout ?? usual.firstTokenMs,
      idleMs: spec.idle_timeout ?? usual.idleMs,
      warmupMs: spec.warmup_timeout ?? usual.warmupMs,
      streamMs: spec.stream_timeout ?? usual.streamMs,
      queueMs: spec.queue_timeout,
    },
    defaultModel: spec.default_model,
    deployments: spec.deployments ?? new Map(),
    apiVersion: spec.api_version,
    assembleWholeReplies: place === 'local' && (spec.assemble ?? values.assemble),
    continuesAnswers: spec.continues_answers,
    onDisconnect: spec.on_disconnect ?? 'cancel',
  };
}

/** A cloud provider given at run time, as a target. Its address is checked before each call unless the operator meant the LAN. */
export function targetFromOverflowProvider(provider: OverflowProvider, clocks: TargetClocks): Target {
  const { name, apiKey } = provider;
  switch (provider.type) {
    case 'openrouter': {
      const base = provider.baseUrl ?? SETTINGS.openrouterBaseUrl.default;
      const network = provider.baseUrl === null ? 'any' : provider.network;
      return {
        ...plain(name, 'openrouter', base, 'admin'),
        apiKey,
        clocks,
        network,
        defaultModel: provider.defaultModel,
      };
    }
    case 'azure':
      return {
        ...plain(name, 'azure-openai', provider.endpoint, 'admin'),
        apiKey,
        clocks,
        network: provider.network,
        defaultModel: provider.defaultDeployment,
        deployments: new Map(Object.entries(provider.deployments)),
        apiVersion: provider.apiVersion,
      };
    case 'openai-compatible': {
      const network = provider.network;
      const target = plain(name, 'openai-compatible', provider.baseUrl, 'admin');
      return { ...target, apiKey, clocks, network, defaultModel: provider.defaultModel };
    }
  }
}

/** What most targets share; the clocks are always given by the caller. */
function plain(id: TargetId, adapterKind: AdapterKind, url: string, source: TargetSource): Omit<Target, 'clocks'> {
  return {
    id,
    provider: PROVIDER_NAMES[adapterKind] ?? id,
    adapterKind,
    place: 'cloud',
    baseUrl: baseUrlFor(adapterKind, url.replace(/\/+$/, '')),
    apiKey: null,
    source,
    optional: false,
    network: 'any',
    maxConcurrent: null,
    defaultModel: null,
    deployments: new Map(),
    apiVersion: null,
    assembleWholeReplies: false,
    continuesAnswers: null,
  };
}
