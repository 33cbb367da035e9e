import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { NANO_PER_USD } from '../../core/price.ts';
import {
  EXPORT_COLUMNS,
  USAGE_GROUPS,
  type UsageGroup,
  type UsageReports,
  type UsageRow,
  type UsageScope,
} from '../../core/usage-report.ts';
import { AdminError } from './error-envelope.ts';
import { exportStream } from './export-stream.ts';
import { needs } from './permission.ts';
import { errorReplies, errorSchema, jsonReply } from './schemas.ts';
import { projectsOf, type Tenancy, tenancyOf } from './tenancy.ts';
import { wrongQuery } from './wrong-query.ts';

export interface UsagePorts {
  /** Null: usage is not kept. */
  readonly usage: () => UsageReports | null;
  /** Null: no key has this id. */
  readonly keyName: (id: string) => string | null;
  /** ms since the Unix epoch. */
  readonly wallMs: () => number;
}

const PATH = '/admin/usage';
const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;

const sums = {
  requests: z.number().int().openapi({ description: 'Requests of clients, by their ids.' }),
  attempts: z
    .number()
    .int()
    .openapi({ description: 'Upstream calls: more than requests where some were tried again.' }),
  input_tokens: z.number().int(),
  cached_input_tokens: z
    .number()
    .int()
    .openapi({ description: 'Of the input tokens: those that the server had cached.' }),
  output_tokens: z.number().int(),
  reasoning_tokens: z.number().int().openapi({ description: 'Of the output tokens.' }),
  cost_usd: z.number().openapi({ description: 'Calls without a known price (`unpriced`) are not in it.' }),
  saved_usd: z.number().openapi({ description: 'What a cloud would have charged for the local answers.' }),
  unpriced: z.number().int().openapi({ description: 'Calls whose price nobody knows.' }),
  unknown: z.number().int().openapi({ description: 'Calls that broke off without a word of what they used.' }),
  maybe_usd: z.number().openapi({ description: 'Of the cost: what was set aside for the unknown ones.' }),
  open: z.number().int().openapi({ description: 'Calls that still run.' }),
};

const totalSchema = z.object(sums).openapi('UsageSums');
const rowCost = z.number().nullable().openapi({
  description: 'Calls without a known price (`unpriced`) are not in it; null: no call of the row has a known price.',
});
const rowSchema = z
  .object({
    key: z.string().nullable().optional().openapi({ description: "The client key's id; null: none was needed." }),
    key_name: z.string().nullable().optional().openapi({ description: 'Its name, which others may have too.' }),
    project: z.string().optional(),
    model: z.string().optional(),
    target: z.string().optional(),
    place: z.string().optional(),
    day: z.string().optional().openapi({ example: '2026-11-23' }),
    hour: z.string().optional().openapi({ example: '2026-11-23T06:00Z' }),
    ...sums,
    cost_usd: rowCost,
  })
  .openapi('UsageRow');

const usageSchema = z
  .object({ from: z.string(), to: z.string(), rows: z.array(rowSchema), total: totalSchema })
  .openapi('Usage');

const time = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);
const scopeQuery = {
  project: z
    .string()
    .min(1)
    .max(63)
    .optional()
    .openapi({ description: 'Only this one. Default: all that you may see.' }),
  from: time.optional().openapi({ description: `Default: ${DEFAULT_DAYS} days ago.`, example: '2026-11-01' }),
  to: time.optional().openapi({ description: 'Excluded. Default: now.', example: '2026-12-01T00:00:00Z' }),
};
const groups = z
  .string()
  .transform((text) => text.split(',').map((name) => name.trim()))
  .pipe(z.array(z.enum(USAGE_GROUPS)).refine((names) => new Set(names).size === names.length));
const sumsQuery = z.strictObject({
  ...scopeQuery,
  group_by: groups.optional().openapi({
    type: 'string',
    description: `Any of ${USAGE_GROUPS.join(', ')}, joined by commas. Default: model,target.`,
    example: 'model,day',
  }),
});
const exportQuery = z.strictObject({
  ...scopeQuery,
  format: z.enum(['csv', 'json']).default('csv').openapi({ description: '`json`: one object a line.' }),
});
const ALLOWED: Readonly<Record<string, string>> = {
  project: 'the id of a project',
  from: 'a day or time such as 2026-11-01 or 2026-11-01T06:00:00Z',
  to: 'a day or time such as 2026-12-01 or 2026-12-01T06:00:00Z',
  group_by: `any of ${USAGE_GROUPS.join(', ')}, each once, joined by commas`,
  format: 'csv or json',
};

const common = { tags: ['Usage'], method: 'get' as const };
const notKeptReply = jsonReply('Usage is not kept', errorSchema);
const sumsRoute = createRoute({
  ...common,
  path: PATH,
  ...needs('usage:read'),
  operationId: 'getUsage',
  summary: 'What upstream calls used and cost',
  request: { query: sumsQuery },
  responses: {
    200: jsonReply('The sums', usageSchema),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
    404: notKeptReply,
  },
});
const exportRoute = createRoute({
  ...common,
  path: `${PATH}/export`,
  ...needs('usage:export'),
  operationId: 'exportUsage',
  summary: 'Every upstream call on record, as CSV or lines of JSON',
  request: { query: exportQuery },
  responses: {
    200: {
      description: 'Oldest first; a stream of any length',
      content: { 'text/csv': { schema: z.string() }, 'application/x-ndjson': { schema: z.string() } },
    },
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
    404: notKeptReply,
  },
});

export function addUsageRoutes(app: OpenAPIHono, { usage, keyName, wallMs }: UsagePorts): void {
  app.openapi(
    sumsRoute,
    async (context) => {
      const { group_by: groupBy = ['model', 'target'], ...asked } = context.req.valid('query');
      const scope = scopeOf(asked, tenancyOf(context, 'usage:read'), wallMs());
      const reports = kept(usage());
      const rows = await reports.sums({ ...scope, groupBy });
      const [total] = await reports.sums({ ...scope, groupBy: [] });
      const body = {
        ...{ from: new Date(scope.fromMs).toISOString(), to: new Date(scope.toMs).toISOString() },
        rows: rows.map((row) => ({ ...groupBody(row, keyName), ...sumsBody(row), cost_usd: costOf(row) })),
        total: sumsBody(total ?? NOTHING),
      };
      return context.json(body, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(sumsQuery.shape, ALLOWED, context.req.query());
    },
  );

  app.openapi(
    exportRoute,
    (context) => {
      const { format, ...asked } = context.req.valid('query');
      const records = kept(usage()).export(scopeOf(asked, tenancyOf(context, 'usage:export'), wallMs()));
      const type = format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson';
      return new Response(exportStream(records, format, EXPORT_COLUMNS), {
        headers: {
          'content-type': type,
          'content-disposition': `attachment; filename="usage.${format === 'csv' ? 'csv' : 'ndjson'}"`,
        },
      }) as never;
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(exportQuery.shape, ALLOWED, context.req.query());
    },
  );
}

function kept(usage: UsageReports | null): UsageReports {
  if (usage !== null) return usage;
  const message =
    'Usage is not kept here. Set SWARMROUTER_USAGE=true and start the gateway again, or make a client key.';
  throw new AdminError(404, 'usage_not_kept', message);
}

type Asked = Pick<z.infer<typeof sumsQuery>, 'from' | 'to' | 'project'>;

function scopeOf({ from, to, project }: Asked, tenancy: Tenancy, nowMs: number): UsageScope {
  const toMs = to === undefined ? nowMs + 1 : Date.parse(to);
  const fromMs = from === undefined ? toMs - DEFAULT_DAYS * DAY_MS : Date.parse(from);
  const { organisationId } = tenancy;
  if (fromMs < toMs) return { organisationId, projectIds: projectsOf(tenancy, project), fromMs, toMs };
  const message = `"from" is ${JSON.stringify(from)}, which is not before "to" (${to ?? 'now'}).`;
  throw new AdminError(400, 'invalid_query', message, { param: 'from' });
}

type SumsRow = Omit<UsageRow, 'group'>;
const NOTHING: SumsRow = {
  ...{ requests: 0, attempts: 0, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0 },
  ...{ costNanoUsd: 0, savedNanoUsd: 0, priced: 0, unpriced: 0, open: 0, unknown: 0, maybeNanoUsd: 0 },
};

/** Null: nothing of it is known, which is not 0. */
function costOf({ costNanoUsd, priced, unpriced }: SumsRow): number | null {
  return priced === 0 && unpriced > 0 ? null : costNanoUsd / NANO_PER_USD;
}

function sumsBody(row: SumsRow): z.infer<typeof totalSchema> {
  return {
    requests: row.requests,
    attempts: row.attempts,
    input_tokens: row.inputTokens,
    cached_input_tokens: row.cachedInputTokens,
    output_tokens: row.outputTokens,
    reasoning_tokens: row.reasoningTokens,
    cost_usd: row.costNanoUsd / NANO_PER_USD,
    saved_usd: row.savedNanoUsd / NANO_PER_USD,
    unpriced: row.unpriced,
    unknown: row.unknown,
    maybe_usd: row.maybeNanoUsd / NANO_PER_USD,
    open: row.open,
  };
}

type GroupBody = Partial<Record<Exclude<UsageGroup, 'key'>, string> & { key: string | null; key_name: string | null }>;

const DATE_LENGTH = 10;
const HOUR_LENGTH = 16;

function groupBody({ group }: UsageRow, keyName: UsagePorts['keyName']): GroupBody {
  return Object.fromEntries(
    Object.entries(group).flatMap(([name, value]) => {
      if (name === 'key') return keyEntries(value, keyName);
      if (typeof value !== 'number') return [[name, value]];
      const text = new Date(value).toISOString();
      return [[name, name === 'day' ? text.slice(0, DATE_LENGTH) : `${text.slice(0, HOUR_LENGTH)}Z`]];
    }),
  );
}

function keyEntries(id: unknown, keyName: UsagePorts['keyName']): (readonly [string, string | null])[] {
  const text = typeof id === 'string' ? id : null;
  return [
    ['key', text],
    ['key_name', text === null ? null : keyName(text)],
  ];
}
