import type { TargetParts } from '../core/given-provider.ts';
import type { Problem } from '../core/problem.ts';
import type { Secret } from '../core/secret.ts';
import { ADAPTER_KINDS, type AdapterKind, type Place } from '../core/target.ts';
import { isName, NAMES } from './names.ts';
import { type FieldPlace, fieldReader, placeIn } from './read-field.ts';
import type { SecretPlaces } from './secret-reference.ts';
import { boolean, choice, integer, type Kind, mapping, seconds, secret, text, url } from './setting-kinds.ts';
import type { YamlTargetSection } from './yaml-file.ts';

/** One entry of `targets:`, checked. null: not given. */
export interface TargetSpec {
  readonly name: string;
  readonly kind: AdapterKind;
  readonly url: string | null;
  readonly api_key: Secret | null;
  readonly place: Place | null;
  readonly max_concurrent: number | null;
  readonly default_model: string | null;
  readonly deployments: ReadonlyMap<string, string> | null;
  readonly api_version: string | null;
  readonly assemble: boolean | null;
  readonly continues_answers: boolean | null;
  readonly on_disconnect: 'cancel' | 'drain' | null;
  readonly connect_timeout: number | null;
  readonly first_byte_timeout: number | null;
  readonly first_token_timeout: number | null;
  readonly idle_timeout: number | null;
  readonly warmup_timeout: number | null;
  readonly stream_timeout: number | null;
  readonly queue_timeout: number | null;
  /** `swarmrouter.yaml line 7`. */
  readonly where: string;
  /** `targets[0]`. */
  readonly path: string;
}

const A_DAY = 86_400;

const targetName: Kind<string> = {
  ...text(NAMES),
  parse: (value) => (isName(value) ? { ok: true, value } : { ok: false, reason: 'it is not a target name' }),
};

const kindName = choice([...ADAPTER_KINDS, 'auto'], {
  lmstudio: 'lm-studio',
  llamacpp: 'llama-cpp',
  'llama.cpp': 'llama-cpp',
  azure: 'azure-openai',
});

export const TARGET_FIELDS = {
  name: {
    kind: targetName,
    doc: 'What `x-swarmrouter-target` says; unique. For `openai-compatible` also the name that pins it in a model (`name/model`). Required.',
  },
  kind: {
    kind: kindName,
    doc: 'The wire it speaks (`lmstudio`, `llamacpp` and `azure` are understood too). `auto`: lm-studio, ollama, llama-cpp, vllm or sglang, whichever is found at its address; until then it gets no requests. Required.',
  },
  url: { kind: url, doc: 'Its address. Required, except for `openrouter`.' },
  api_key: { kind: secret, doc: 'Its key, or better `env:NAME` or `file:/path`.' },
  place: {
    kind: choice(['local', 'cloud']),
    doc: 'Whether it is one of your own machines. Default: `local` for lm-studio, ollama, llama-cpp, vllm, sglang and auto, else `cloud`.',
  },
  max_concurrent: {
    kind: integer(1, 10_000),
    doc: 'Requests at once; local targets only. Default: SWARMROUTER_MAX_CONCURRENT.',
  },
  default_model: {
    kind: text('a model name'),
    doc: 'The model (Azure: deployment) that takes names it does not know.',
  },
  deployments: {
    kind: mapping('pairs of asked model and deployment'),
    doc: 'Azure: which deployment answers for which asked model.',
  },
  api_version: { kind: text('an API version'), doc: 'Azure: the API version of the classic URL form.' },
  assemble: {
    kind: boolean,
    doc: 'Local targets: whole replies are assembled from a stream. Default: SWARMROUTER_ASSEMBLE.',
  },
  continues_answers: {
    kind: boolean,
    doc: 'Whether it goes on with an assistant message that stands last, for `stream_recovery: continue`. Default: true for llama-cpp, vllm, sglang, lm-studio and ollama, else false.',
  },
  on_disconnect: {
    kind: choice(['cancel', 'drain']),
    doc: 'Cloud targets: what becomes of an answer whose client leaves. `cancel` ends the call; `drain` reads it to its end, for a provider that charges the whole answer all the same and says only there what it cost (at most 32 at once, each for at most 120 s and 4 MB). Default: `cancel`.',
  },
  connect_timeout: { kind: seconds(0.01, 600), doc: 'Its own SWARMROUTER_CONNECT_TIMEOUT.' },
  first_byte_timeout: { kind: seconds(0.1, A_DAY), doc: 'Its own LMSTUDIO_TIMEOUT or SWARMROUTER_OVERFLOW_TIMEOUT.' },
  first_token_timeout: { kind: seconds(0.1, A_DAY), doc: 'Its own SWARMROUTER_FIRST_TOKEN_TIMEOUT.' },
  idle_timeout: { kind: seconds(0.1, A_DAY), doc: 'Its own SWARMROUTER_IDLE_TIMEOUT.' },
  warmup_timeout: { kind: seconds(0.1, A_DAY), doc: 'Its own SWARMROUTER_WARMUP_TIMEOUT.' },
  stream_timeout: { kind: seconds(1, A_DAY), doc: 'Its own SWARMROUTER_STREAM_TIMEOUT.' },
  queue_timeout: { kind: seconds(0, A_DAY), doc: 'Its own SWARMROUTER_QUEUE_TIMEOUT.' },
} as const;

export const TARGET_FIELD_NAMES: ReadonlySet<string> = new Set(Object.keys(TARGET_FIELDS));

type FieldName = keyof typeof TARGET_FIELDS;

/** The message of a problem with a field that must be there. */
export const MISSING = 'it is missing';

/** Reads one entry of the YAML file; null: it lacks a name or a kind, and `problems` says so. */
export function readTarget(
  section: YamlTargetSection,
  label: string,
  places: SecretPlaces,
  problems: Problem[],
): TargetSpec | null {
  const path = `targets[${section.index}]`;
  const where = `${label} line ${section.line}`;
  return readTargetFields({ ...placeIn(section.entries, path, label), where, path }, places, problems);
}

/** @param place `where`, `path`: the entry as a whole */
export function readTargetFields(
  place: FieldPlace & Pick<TargetSpec, 'where' | 'path'>,
  places: SecretPlaces,
  problems: Problem[],
): TargetSpec | null {
  const { where, path } = place;
  const read = fieldReader<FieldName>(place, places, problems);
  const isGiven = (name: FieldName) => place.entries.some((entry) => entry.key === name && entry.value !== null);
  const requireField = (name: FieldName, allowed: string | null) =>
    isGiven(name) ||
    problems.push({
      where,
      name: place.nameOf(name),
      seen: null,
      message: MISSING,
      allowed,
      fix: `add ${name}: …`,
    });

  const fields = TARGET_FIELDS;
  const name = read('name', fields.name.kind);
  const kind = read('kind', fields.kind.kind);
  requireField('name', fields.name.kind.allowed);
  requireField('kind', fields.kind.kind.allowed);
  if (kind !== 'openrouter') requireField('url', fields.url.kind.allowed);
  const rest = {
    url: read('url', fields.url.kind),
    api_key: read('api_key', fields.api_key.kind),
    place: read('place', fields.place.kind),
    max_concurrent: read('max_concurrent', fields.max_concurrent.kind),
    default_model: read('default_model', fields.default_model.kind),
    deployments: read('deployments', fields.deployments.kind),
    api_version: read('api_version', fields.api_version.kind),
    assemble: read('assemble', fields.assemble.kind),
    continues_answers: read('continues_answers', fields.continues_answers.kind),
    on_disconnect: read('on_disconnect', fields.on_disconnect.kind),
    connect_timeout: read('connect_timeout', fields.connect_timeout.kind),
    first_byte_timeout: read('first_byte_timeout', fields.first_byte_timeout.kind),
    first_token_timeout: read('first_token_timeout', fields.first_token_timeout.kind),
    idle_timeout: read('idle_timeout', fields.idle_timeout.kind),
    warmup_timeout: read('warmup_timeout', fields.warmup_timeout.kind),
    stream_timeout: read('stream_timeout', fields.stream_timeout.kind),
    queue_timeout: read('queue_timeout', fields.queue_timeout.kind),
  };
  return name === null || kind === null ? null : { name, kind, ...rest, where, path };
}

/** The entry in the product's own words. */
export function partsOf(spec: TargetSpec): TargetParts {
  return {
    ...{ name: spec.name, kind: spec.kind, url: spec.url, apiKey: spec.api_key, place: spec.place },
    ...{ maxConcurrent: spec.max_concurrent, defaultModel: spec.default_model, apiVersion: spec.api_version },
    deployments: Object.fromEntries(spec.deployments ?? []),
    ...{ assemble: spec.assemble, continuesAnswers: spec.continues_answers },
    onDisconnect: spec.on_disconnect,
    clocks: {
      ...{ connectMs: spec.connect_timeout, firstByteMs: spec.first_byte_timeout },
      ...{ firstTokenMs: spec.first_token_timeout, idleMs: spec.idle_timeout, warmupMs: spec.warmup_timeout },
      ...{ streamMs: spec.stream_timeout, queueMs: spec.queue_timeout },
    },
  };
}
