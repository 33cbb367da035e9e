import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import {
  AUDIT_ACTOR_KINDS,
  AUDIT_OUTCOMES,
  type AuditFilter,
  type AuditRecord,
  type AuditReports,
  type AuditVerdict,
} from '../../core/audit.ts';
import { AdminError } from './error-envelope.ts';
import { exportStream } from './export-stream.ts';
import { needs } from './permission.ts';
import { errorReplies, errorSchema, jsonReply } from './schemas.ts';
import { wrongQuery } from './wrong-query.ts';

export interface AuditPorts {
  /** Null: there is no store to keep it in. */
  readonly audit: () => AuditReports | null;
}

const PATH = '/admin/audit';
const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1_000;

const entrySchema = z
  .object({
    sequence: z.number().int().openapi({ description: 'From 1, without a gap.' }),
    time: z.string(),
    actor: z.object({
      kind: z.string().openapi({ description: `One of ${AUDIT_ACTOR_KINDS.join(', ')}.` }),
      id: z.string().nullable(),
    }),
    address: z.string().nullable().openapi({ description: "Of the connection's other end; null: there was none." }),
    request_id: z.string().nullable(),
    action: z.string().openapi({ example: 'provider.add' }),
    subject: z.string().openapi({ example: 'provider:openrouter' }),
    before: z.any().openapi({ description: 'Null: there was nothing. Secrets as fingerprints.' }),
    after: z.any().openapi({ description: 'Null: there is nothing any more. Secrets as fingerprints.' }),
    outcome: z.enum(AUDIT_OUTCOMES),
    hash: z.string(),
  })
  .openapi('AuditEntry');

const pageSchema = z
  .object({
    entries: z.array(entrySchema).openapi({ description: 'Newest first.' }),
    next_cursor: z.string().nullable().openapi({ description: '`cursor` of the next page; null: this is the last.' }),
  })
  .openapi('AuditPage');

const verdictSchema = z
  .object({
    ok: z.boolean(),
    entries: z.number().int().openapi({ description: 'Entries that are good, up to the first bad one.' }),
    checkpoints: z.number().int().openapi({ description: 'Signed checkpoints that confirm them.' }),
    end: z
      .object({ sequence: z.number().int(), hash: z.string() })
      .nullable()
      .openapi({ description: 'Where the chain ends; null: there is no entry, or one is bad.' }),
    first_bad: z
      .object({
        sequence: z.number().int(),
        fault: z.enum(['changed', 'missing', 'reordered', 'added', 'cut off', 'bad checkpoint']),
        message: z.string(),
      })
      .nullable(),
  })
  .openapi('AuditVerdict');

const time = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);
const actorPattern = new RegExp(`^(${AUDIT_ACTOR_KINDS.join('|')})(:.+)?$`);
const filterQuery = {
  from: time.optional().openapi({ description: 'Default: the first.', example: '2026-11-01' }),
  to: time.optional().openapi({ description: 'Excluded. Default: the latest.', example: '2026-12-01T00:00:00Z' }),
  actor: z
    .string()
    .regex(actorPattern)
    .optional()
    .openapi({
      description: `A kind (${AUDIT_ACTOR_KINDS.join(', ')}), or a kind and an id.`,
      example: 'key:key_1f',
    }),
  action: z.string().min(1).optional().openapi({
    description: 'The whole of it, or its beginning and a `*`.',
    example: 'provider.*',
  }),
  subject: z.string().min(1).optional().openapi({ example: 'provider:openrouter' }),
};
const listQuery = z.strictObject({
  ...filterQuery,
  limit: z.coerce
    .number()
    .pipe(z.number().int().min(1).max(MAX_LIMIT))
    .default(DEFAULT_LIMIT)
    .openapi({ type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT }),
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,15}$/)
    .optional()
    .openapi({ description: '`next_cursor` of the page before.' }),
});
const exportQuery = z.strictObject({
  ...filterQuery,
  format: z.enum(['csv', 'json']).default('json').openapi({ description: '`json`: one object a line.' }),
});
const ALLOWED: Readonly<Record<string, string>> = {
  from: 'a day or time such as 2026-11-01 or 2026-11-01T06:00:00Z',
  to: 'a day or time such as 2026-12-01 or 2026-12-01T06:00:00Z',
  actor: `a kind (${AUDIT_ACTOR_KINDS.join(', ')}), alone or with an id as in key:key_1f`,
  action: 'an action such as provider.add, or its beginning and a * such as provider.*',
  subject: 'a kind and a name such as provider:openrouter',
  limit: `a whole number from 1 to ${MAX_LIMIT}`,
  cursor: 'next_cursor of the page before',
  format: 'json or csv',
};

const common = { tags: ['Audit'], method: 'get' as const };
const notKeptReply = jsonReply('There is no store to keep it in', errorSchema);
const refusals = {
  400: jsonReply('A parameter is wrong', errorSchema),
  401: errorReplies.unauthorized,
  404: notKeptReply,
};
const listRoute = createRoute({
  ...common,
  path: PATH,
  ...needs('audit:read'),
  operationId: 'listAuditEntries',
  summary: 'Who changed what, and who was refused',
  request: { query: listQuery },
  responses: { 200: jsonReply('A page of the entries', pageSchema), ...refusals },
});
const exportRoute = createRoute({
  ...common,
  path: `${PATH}/export`,
  ...needs('audit:read'),
  operationId: 'exportAuditEntries',
  summary: 'The audit log as lines of JSON or CSV, with the hashes that chain its entries',
  request: { query: exportQuery },
  responses: {
    200: {
      description: 'Oldest first; a stream of any length',
      content: { 'application/x-ndjson': { schema: z.string() }, 'text/csv': { schema: z.string() } },
    },
    ...refusals,
  },
});
const verifyRoute = createRoute({
  ...common,
  path: `${PATH}/verify`,
  ...needs('audit:read'),
  operationId: 'verifyAuditLog',
  summary: 'Whether the audit log is as it was written; if not, the first bad entry and why',
  responses: {
    200: jsonReply('What was found', verdictSchema),
    401: errorReplies.unauthorized,
    404: notKeptReply,
  },
});

export function addAuditRoutes(app: OpenAPIHono, { audit }: AuditPorts): void {
  app.openapi(
    listRoute,
    async (context) => {
      const { limit, cursor, ...filter } = context.req.valid('query');
      const beforeSequence = cursor === undefined ? null : Number(cursor);
      const { entries, nextBefore } = await kept(audit()).list({
        ...filterOf(filter, context.get('principal').organisationId),
        limit,
        beforeSequence,
      });
      const body = {
        entries: entries.map(entryBody),
        next_cursor: nextBefore === null ? null : String(nextBefore),
      };
      return context.json(body, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(listQuery.shape, ALLOWED, context.req.query());
    },
  );

  app.openapi(
    exportRoute,
    (context) => {
      const { format, ...filter } = context.req.valid('query');
      const records = flat(kept(audit()).export(filterOf(filter, context.get('principal').organisationId)));
      const [type, ending] = format === 'csv' ? ['text/csv; charset=utf-8', 'csv'] : ['application/x-ndjson', 'ndjson'];
      return new Response(exportStream(records, format, COLUMNS), {
        headers: { 'content-type': type, 'content-disposition': `attachment; filename="audit.${ending}"` },
      }) as never;
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(exportQuery.shape, ALLOWED, context.req.query());
    },
  );

  app.openapi(verifyRoute, async (context) => {
    return context.json(verdictBody(await kept(audit()).verify(context.get('principal').organisationId)), 200);
  });
}

function kept(audit: AuditReports | null): AuditReports {
  if (audit !== null) return audit;
  const message =
    'The audit log is not kept here, since there is no store: it begins with the first client key, ' +
    'SWARMROUTER_USAGE=true or SWARMROUTER_DATABASE_URL.';
  throw new AdminError(404, 'audit_not_kept', message);
}

interface FilterQuery {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly subject?: string | undefined;
}

function filterOf({ from, to, actor, action = '', subject = '' }: FilterQuery, organisationId: string): AuditFilter {
  const [fromMs, toMs] = [from, to].map((text) => (text === undefined ? null : Date.parse(text)));
  if (typeof fromMs === 'number' && typeof toMs === 'number' && fromMs >= toMs) {
    const message = `"from" is ${JSON.stringify(from)}, which is not before "to" (${JSON.stringify(to)}).`;
    throw new AdminError(400, 'invalid_query', message, { param: 'from' });
  }
  return {
    organisationId,
    fromMs: fromMs ?? null,
    toMs: toMs ?? null,
    actor: actor === undefined ? null : actorOf(actor),
    action: action === '' ? null : action,
    subject: subject === '' ? null : subject,
  };
}

function actorOf(text: string): NonNullable<AuditFilter['actor']> {
  const colon = text.indexOf(':');
  return colon < 0 ? { kind: text, id: null } : { kind: text.slice(0, colon), id: text.slice(colon + 1) };
}

function entryBody(record: AuditRecord): z.infer<typeof entrySchema> {
  return {
    sequence: record.sequence,
    time: timeOf(record.atMs),
    actor: { kind: record.actorKind, id: record.actorId },
    address: record.peerAddress,
    request_id: record.requestId,
    action: record.action,
    subject: record.subject,
    before: parsed(record.before),
    after: parsed(record.after),
    outcome: record.outcome === 'refused' ? 'refused' : 'allowed',
    hash: record.hash,
  };
}

/** Somebody may have meddled with it: what is no time or no JSON is still shown, not a failure. */
function timeOf(atMs: number): string {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? String(atMs) : date.toISOString();
}

function parsed(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const COLUMNS = [
  'organisation',
  'sequence',
  'time',
  'at_ms',
  'actor_kind',
  'actor_id',
  'address',
  'request_id',
  'action',
  'subject',
  'before',
  'after',
  'outcome',
  'previous_hash',
  'hash',
] as const;

/** All that the hashes cover, `before` and `after` as the text that was hashed. */
async function* flat(
  records: AsyncIterable<AuditRecord>,
): AsyncGenerator<Record<(typeof COLUMNS)[number], string | number | null>> {
  for await (const record of records) {
    yield {
      organisation: record.organisationId,
      sequence: record.sequence,
      time: timeOf(record.atMs),
      at_ms: record.atMs,
      actor_kind: record.actorKind,
      actor_id: record.actorId,
      address: record.peerAddress,
      request_id: record.requestId,
      action: record.action,
      subject: record.subject,
      before: record.before,
      after: record.after,
      outcome: record.outcome,
      previous_hash: record.previousHash,
      hash: record.hash,
    };
  }
}

function verdictBody({ ok, entries, checkpoints, end, firstBad }: AuditVerdict): z.infer<typeof verdictSchema> {
  return {
    ok,
    entries,
    checkpoints,
    end: end === null ? null : { sequence: end.sequence, hash: end.hash },
    first_bad: firstBad === null ? null : { ...firstBad },
  };
}
