import type { Secret } from './secret.ts';
import type { AdapterKind, Place, TargetClocks } from './target.ts';

/** What of a target a person may say, whether in the YAML file or over the admin API. Null: the usual. */
export interface TargetParts {
  /** Unique among targets. */
  readonly name: string;
  readonly kind: AdapterKind;
  /** As it was given, without a trailing slash; null: the product's own address (OpenRouter alone has one). */
  readonly url: string | null;
  readonly apiKey: Secret | null;
  readonly place: Place | null;
  readonly maxConcurrent: number | null;
  /** Model (Azure: deployment) that takes names it does not know. */
  readonly defaultModel: string | null;
  /** Azure: asked model → deployment. */
  readonly deployments: Readonly<Record<string, string>>;
  readonly apiVersion: string | null;
  readonly assemble: boolean | null;
  readonly continuesAnswers: boolean | null;
  readonly onDisconnect: 'cancel' | 'drain' | null;
  readonly clocks: GivenClocks;
}

/** All milliseconds; null: the usual of its place. */
export type GivenClocks = { readonly [Name in keyof TargetClocks]: number | null };

export const NO_CLOCKS: GivenClocks = {
  connectMs: null,
  firstByteMs: null,
  firstTokenMs: null,
  idleMs: null,
  warmupMs: null,
  streamMs: null,
  queueMs: null,
};

/** What is said of a provider that is given with an address and a key alone. */
export const NOTHING_MORE = {
  place: null,
  maxConcurrent: null,
  defaultModel: null,
  deployments: {},
  apiVersion: null,
  assemble: null,
  continuesAnswers: null,
  onDisconnect: null,
  clocks: NO_CLOCKS,
} as const;

/** A model server or cloud account given at run time. Kept over restarts, stronger than the environment and YAML until deleted. */
export interface GivenProvider extends TargetParts {
  /** `lan`: a private or loopback address is meant. `public`: the address must be public, checked before each call. */
  readonly network: 'lan' | 'public';
  /** One more with each change, from 1. */
  readonly revision: number;
}

/** All of a provider but what is counted for it. */
export type ProviderGiven = Omit<GivenProvider, 'revision'>;

/** What the API and the YAML file call a clock; there they are seconds. */
export const CLOCK_FIELDS: readonly (readonly [string, keyof GivenClocks])[] = [
  ['connect_timeout', 'connectMs'],
  ['first_byte_timeout', 'firstByteMs'],
  ['first_token_timeout', 'firstTokenMs'],
  ['idle_timeout', 'idleMs'],
  ['warmup_timeout', 'warmupMs'],
  ['stream_timeout', 'streamMs'],
  ['queue_timeout', 'queueMs'],
];

/** A provider in the words of the API, without its key; what was not said is left out. */
export function providerFields(given: ProviderGiven): Readonly<Record<string, unknown>> {
  const { name, kind, url, network, place, deployments, clocks } = given;
  const fields: Record<string, unknown> = {
    ...{ name, kind, url, network, place, max_concurrent: given.maxConcurrent, default_model: given.defaultModel },
    deployments: Object.keys(deployments).length === 0 ? null : deployments,
    ...{ api_version: given.apiVersion, assemble: given.assemble, continues_answers: given.continuesAnswers },
    on_disconnect: given.onDisconnect,
  };
  for (const [field, clock] of CLOCK_FIELDS) fields[field] = inSeconds(clocks[clock]);
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

export const inSeconds = (milliseconds: number | null): number | null =>
  milliseconds === null ? null : milliseconds / 1_000;

/** Where providers given at run time are kept. */
export interface GivenProviderStore {
  load(): Promise<readonly GivenProvider[]>;
  /** Replaces the whole list, durably, or rejects and leaves the old one. */
  save(providers: readonly GivenProvider[]): Promise<void>;
}
