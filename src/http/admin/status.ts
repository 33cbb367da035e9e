import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { ConfigState } from '../../core/reload.ts';
import type { ModelInfo } from '../../core/target.ts';
import type { LearnedModel, TargetView } from '../../core/target-view.ts';
import { needs } from './permission.ts';
import { configStateBody, configStateSchema } from './reload-routes.ts';
import { errorReplies, jsonReply } from './schemas.ts';

/** A setting in force. The value must already be free of secrets. */
export interface SettingInForce {
  readonly name: string;
  readonly value: unknown;
  /** Where it was set: `command line`, `environment`, `default` … */
  readonly source: string;
}

export interface StatusPorts {
  targets(): readonly TargetView[];
  settings(): readonly SettingInForce[];
  strategy(): string;
  readonly version: string;
  configState(): ConfigState;
  uptimeMs(): number;
}

const can = z.boolean().nullable();

const modelSchema = z
  .object({
    id: z.string(),
    kind: z.enum(['chat', 'embedding', 'other']),
    state: z.enum(['loaded', 'loading', 'on-disk']),
    context_length: z.number().int().nullable(),
    slots: z.number().int().nullable(),
    capabilities: z
      .object({ vision: can, tools: can, reasoning: can, json_schema: can })
      .openapi({ description: 'Null: the server does not say.' }),
    quantization: z.string().nullable(),
    size_bytes: z.number().nullable(),
  })
  .openapi('Model');

const measured = z.number().nullable();

const learnedSchema = z
  .object({
    model: z.string(),
    prefill_tokens_per_second: measured.openapi({ description: 'Reading prompts.' }),
    decode_tokens_per_second: measured.openapi({
      description: 'Writing one answer while nothing else runs beside it.',
    }),
    load_seconds: measured.openapi({ description: 'From disk into memory.' }),
    network_seconds: measured.openapi({ description: 'What every request takes before its prompt is read.' }),
    slots: z.number().int().nullable(),
    bytes_per_token: measured,
    context_length: z.number().int().nullable().openapi({
      description: 'The context that it really has, when it cuts prompts without a word.',
    }),
    samples: z.number().int().openapi({ description: 'Answers that this was learned from.' }),
    conversations: z.number().int().openapi({ description: 'Whose prompts it probably has cached.' }),
  })
  .openapi('LearnedModel', { description: 'What real traffic taught. Null: not known yet.' });

const targetSchema = z
  .object({
    id: z.string(),
    provider: z.string(),
    kind: z.string(),
    place: z.enum(['local', 'cloud']),
    url: z.string(),
    source: z.enum(['environment', 'yaml', 'found', 'admin']),
    health: z.enum(['unknown', 'up', 'warming', 'down', 'absent']),
    health_reason: z.string().nullable(),
    notes: z.array(z.string()).openapi({ description: 'What to know of it although it is up.' }),
    server_version: z.string().nullable(),
    models: z.array(modelSchema),
    default_model: z.string().nullable(),
    slots: z.number().int().nullable().openapi({ description: 'Requests at once; null: no limit.' }),
    load: z
      .object({ running: z.number(), waiting: z.number(), cache_usage: z.number().nullable() })
      .nullable()
      .openapi({ description: 'How busy the server says it is, with all its clients; null: it does not say.' }),
    in_flight: z.number().int(),
    queued: z.number().int(),
    requests: z.number().int(),
    errors: z.number().int(),
    error_rate: z.number().openapi({ description: 'errors ÷ requests, 0 to 1' }),
    latency_ms: z.object({ p50: z.number().nullable(), p95: z.number().nullable() }),
    last_error: z.object({ kind: z.string(), message: z.string(), at: z.string() }).nullable(),
    probed_at: z.string().nullable(),
    learned: z.array(learnedSchema),
  })
  .openapi('Target');

const statusSchema = z
  .object({
    version: z.string(),
    uptime_seconds: z.number(),
    strategy: z.string(),
    config: configStateSchema,
    targets: z.array(targetSchema),
    absent_targets: z.array(z.object({ id: z.string(), provider: z.string(), url: z.string() })).openapi({
      description: 'Servers that are looked for on this machine without being asked for, and are not there.',
    }),
    settings: z.array(
      z.object({
        name: z.string(),
        value: z.unknown().openapi({ description: 'Secrets are masked.' }),
        source: z.string(),
      }),
    ),
  })
  .openapi('Status');

export type StatusBody = z.infer<typeof statusSchema>;

const route = createRoute({
  method: 'get',
  path: '/admin/status',
  operationId: 'getStatus',
  tags: ['Administration'],
  summary: 'Targets, load, errors and the configuration in force',
  ...needs('status:read'),
  responses: { 200: jsonReply('The gateway at this moment', statusSchema), 401: errorReplies.unauthorized },
});

export function addStatusRoute(app: OpenAPIHono, ports: StatusPorts): void {
  app.openapi(route, (context) => context.json(statusBody(ports), 200));
}

export function statusBody(ports: StatusPorts): StatusBody {
  const views = ports.targets();
  const isAbsent = ({ target, health }: TargetView): boolean => target.optional && health === 'absent';
  return {
    version: ports.version,
    uptime_seconds: Math.round(ports.uptimeMs()) / 1000,
    strategy: ports.strategy(),
    config: configStateBody(ports.configState()),
    targets: views.filter((view) => !isAbsent(view)).map(targetBody),
    absent_targets: views.filter(isAbsent).map(({ target }) => ({
      id: target.id,
      provider: target.provider,
      url: withoutCredentials(target.baseUrl),
    })),
    settings: ports.settings().map(({ name, value, source }) => ({ name, value, source })),
  };
}

function targetBody(view: TargetView): StatusBody['targets'][number] {
  const { target, snapshot, stats } = view;
  return {
    id: target.id,
    provider: target.provider,
    kind: target.adapterKind,
    place: target.place,
    url: withoutCredentials(target.baseUrl),
    source: target.source,
    health: view.health,
    health_reason: view.healthReason === null ? null : withoutKey(view.healthReason, view),
    notes: [...(snapshot?.notes ?? [])],
    server_version: snapshot?.version ?? null,
    models: (snapshot?.models ?? []).map(modelBody),
    default_model: target.defaultModel,
    slots: view.slots,
    load: loadBody(view),
    in_flight: view.inFlight,
    queued: view.queued,
    requests: stats.requests,
    errors: stats.errors,
    error_rate: Math.round(stats.errorRate * 10_000) / 10_000,
    latency_ms: { p50: toPlaces(stats.latencyP50Ms, 1), p95: toPlaces(stats.latencyP95Ms, 1) },
    last_error:
      stats.lastError === null
        ? null
        : {
            kind: stats.lastError.kind,
            message: withoutKey(stats.lastError.message, view),
            at: isoTime(stats.lastError.atWallMs),
          },
    probed_at: view.probedAtWallMs === null ? null : isoTime(view.probedAtWallMs),
    learned: view.learned.map(learnedBody),
  };
}

function modelBody(model: ModelInfo): StatusBody['targets'][number]['models'][number] {
  return {
    id: model.id,
    kind: model.kind,
    state: model.state,
    context_length: model.contextLength,
    slots: model.slots,
    capabilities: capabilitiesBody(model.capabilities),
    quantization: model.quantization,
    size_bytes: model.sizeBytes,
  };
}

function loadBody({ snapshot }: TargetView): StatusBody['targets'][number]['load'] {
  const load = snapshot?.load ?? null;
  if (load === null) return null;
  return { running: load.running, waiting: load.waiting, cache_usage: toPlaces(load.cacheUsage, 3) };
}

function learnedBody(learned: LearnedModel): StatusBody['targets'][number]['learned'][number] {
  return {
    model: learned.model,
    prefill_tokens_per_second: toPlaces(learned.prefillTokensPerSecond, 1),
    decode_tokens_per_second: toPlaces(learned.decodeTokensPerSecond, 1),
    load_seconds: toPlaces(learned.loadSeconds, 2),
    network_seconds: toPlaces(learned.networkSeconds, 4),
    slots: toPlaces(learned.slots, 0),
    bytes_per_token: toPlaces(learned.bytesPerToken, 2),
    context_length: learned.contextLength,
    samples: learned.samples,
    conversations: learned.conversations,
  };
}

/** An operator may have written `http://name:password@host`. */
export function withoutCredentials(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^/@]*@/i, '$1');
}

/** Upstreams like to repeat the key that they refuse. */
function withoutKey(text: string, { target }: TargetView): string {
  const key = target.apiKey?.reveal() ?? '';
  return key.length < 4 ? text : text.replaceAll(key, '[secret]');
}

function toPlaces(value: number | null, places: number): number | null {
  return value === null ? null : Math.round(value * 10 ** places) / 10 ** places;
}

function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

function capabilitiesBody({ jsonSchema, ...capabilities }: ModelInfo['capabilities']) {
  return { ...capabilities, json_schema: jsonSchema };
}
