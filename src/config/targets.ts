import type { GivenProvider, TargetParts } from '../core/given-provider.ts';
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
import { partsOf, type TargetSpec } from './yaml-targets.ts';

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
  const usual = { clocksFor: (place: Place) => clocksFor(place, values), ...usualOf(values) };
  return targetOf(partsOf(spec), spec.url ?? values.openrouterBaseUrl, 'yaml', usual);
}

/** What counts for a target that says nothing else. */
export interface UsualTarget {
  clocksFor(place: Place): TargetClocks;
  readonly maxConcurrent: number | null;
  readonly assemble: boolean;
}

export const usualOf = ({ maxConcurrent, assemble }: Values) => ({ maxConcurrent, assemble });

function targetOf(parts: TargetParts, url: string, source: TargetSource, usual: UsualTarget): Target {
  const { name, kind, apiKey, defaultModel, apiVersion, continuesAnswers, clocks } = parts;
  const place = parts.place ?? defaultPlace(kind);
  const isLocal = place === 'local';
  const usualClocks = usual.clocksFor(place);
  return {
    ...plain(name, kind, url, source),
    ...{ place, apiKey, defaultModel, apiVersion, continuesAnswers },
    maxConcurrent: isLocal ? (parts.maxConcurrent ?? usual.maxConcurrent) : null,
    clocks: {
      connectMs: clocks.connectMs ?? usualClocks.connectMs,
      firstByteMs: clocks.firstByteMs ?? usualClocks.firstByteMs,
      firstTokenMs: clocks.firstTokenMs ?? usualClocks.firstTokenMs,
      idleMs: clocks.idleMs ?? usualClocks.idleMs,
      warmupMs: clocks.warmupMs ?? usualClocks.warmupMs,
      streamMs: clocks.streamMs ?? usualClocks.streamMs,
      queueMs: clocks.queueMs,
    },
    deployments: new Map(Object.entries(parts.deployments)),
    assembleWholeReplies: isLocal && (parts.assemble ?? usual.assemble),
    onDisconnect: parts.onDisconnect ?? 'cancel',
  };
}

/**
 * A provider given at run time, as a target. Its address is checked before each call, against the public internet alone
 * unless a private one was meant.
 */
export function targetFromGivenProvider(given: GivenProvider, usual: UsualTarget): Target {
  const target = targetOf(given, given.url ?? SETTINGS.openrouterBaseUrl.default, 'admin', usual);
  return { ...target, network: given.url === null ? 'any' : given.network };
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
