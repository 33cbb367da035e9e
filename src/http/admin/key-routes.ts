import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { AuditOrigin } from '../../core/audit.ts';
import { DEFAULT_PROJECT } from '../../core/caller.ts';
import { type ClientKey, KEY_STATES, type KeyVersion, shownVersion } from '../../core/client-key.ts';
import { objectOf } from '../../core/json-shape.ts';
import type { KeyPage, KeyQuery, KeyRecord } from '../../core/key-store.ts';
import { NO_LIMITS } from '../../core/limits.ts';
import type { Secret } from '../../core/secret.ts';
import { AdminError } from './error-envelope.ts';
import { ifMatchHeader, orConflict, revisionOf } from './if-match.ts';
import { bodyOf, jsonBody, smallBody } from './json-body.ts';
import { type KeyFieldsGiven, limitsWith, policiesWith, readKeyBody } from './key-body.ts';
import {
  changedKeySchema,
  keyBody,
  keyFieldsSchema,
  keySchema,
  newKeySchema,
  rotatedKeySchema,
} from './key-schemas.ts';
import { auditOriginOf } from './origin.ts';
import { needs } from './permission.ts';
import { refuseFor } from './problems.ts';
import { changedSince, errorReplies, errorSchema, jsonReply, storeTakesNothing } from './schemas.ts';
import { projectsOf, requireIn, sees, type Tenancy, tenancyOf } from './tenancy.ts';
import type { TenantPorts } from './tenant-routes.ts';
import { type KnownModels, noTargetHas, unknownNames } from './unknown-model.ts';
import { wrongQuery } from './wrong-query.ts';

type Fields = Partial<
  Pick<ClientKey, 'name' | 'projectId' | 'owner' | 'expiresAtMs' | 'policies' | 'limits' | 'budgets' | 'metadata'>
>;
interface ShownOnce {
  readonly record: KeyRecord;
  readonly text: Secret;
}
interface Rotated extends ShownOnce {
  /** Texts that opened the door until now. */
  readonly ended: readonly KeyVersion[];
}

/** Makes, changes and ends client keys. Null: there is no such key. */
export interface KeyDesk {
  page(query: KeyQuery): Promise<KeyPage>;
  find(id: string): Promise<KeyRecord | null>;
  /** As the store has it, for who is about to change it: waits for nothing, and what was spent a moment ago may be missing. */
  stored(id: string): Promise<KeyRecord | null>;
  create(fields: Fields & Pick<ClientKey, 'name' | 'organisationId'>, origin: AuditOrigin): Promise<ShownOnce>;
  /** @param change asked for the key as it is stored then, again when somebody else was quicker */
  update(
    id: string,
    change: (key: ClientKey) => Fields,
    revision: number | null,
    origin: AuditOrigin,
  ): Promise<KeyRecord | null>;
  rotate(id: string, graceMs: number, revision: number | null, origin: AuditOrigin): Promise<Rotated | null>;
  revoke(id: string, revision: number | null, origin: AuditOrigin): Promise<KeyRecord | null>;
}

export interface KeyPorts extends KnownModels, Pick<TenantPorts, 'tenantsIfAny'> {
  /** Makes the store where there is none. */
  readonly keys: () => Promise<KeyDesk>;
  /** Null: there is no store, and so no key. */
  readonly keysIfAny: () => Promise<KeyDesk | null>;
  /** Routes that exist, by name. */
  readonly routeNames: () => readonly string[];
}

const PATH = '/admin/keys';
const DAY_MS = 86_400_000;
const MOST_GRACE_S = 30 * 86_400;

const common = { tags: ['Keys'] };
const idParam = z.object({ id: z.string().openapi({ example: 'key_0199…' }) });
const noSuchKey = jsonReply('There is no such key', errorSchema);
const writeErrors = {
  400: errorReplies.badRequest,
  401: errorReplies.unauthorized,
  404: noSuchKey,
  412: changedSince,
  503: storeTakesNothing,
};
const fieldsBody = { required: true, content: { 'application/json': { schema: keyFieldsSchema } } } as const;

const ALLOWED: Readonly<Record<string, string>> = {
  limit: 'a whole number from 1 to 1000',
  cursor: 'next_cursor of the page before',
  project: 'the id of a project',
  name: 'the name of keys',
  prefix: 'at most the first 13 characters of a key, such as wgl_live_Ab3d',
  state: 'live, expired or revoked',
};
/** A whole text has no place in an address, which is logged on its way. */
const SHOWN_CHARACTERS = 13;
const listQuery = z.strictObject({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000)
    .optional()
    .openapi({ description: 'Keys of one page. Default 100.' }),
  cursor: z.string().min(1).max(100).optional(),
  project: z.string().min(1).max(63).optional(),
  name: z.string().min(1).max(100).optional(),
  prefix: z
    .string()
    .min(1)
    .max(SHOWN_CHARACTERS)
    .optional()
    .openapi({ description: 'How the text of a key begins, at most what lists show of it.' }),
  state: z.enum(KEY_STATES).optional(),
});

const listSchema = z.object({ keys: z.array(keySchema), next_cursor: z.string().nullable() }).openapi('ClientKeyList');

const listRoute = createRoute({
  ...common,
  method: 'get',
  path: PATH,
  ...needs('key:read'),
  operationId: 'listKeys',
  summary: 'Client keys, oldest first',
  request: { query: listQuery },
  responses: {
    200: jsonReply('One page', listSchema),
    400: errorReplies.badRequest,
    401: errorReplies.unauthorized,
  },
});

const oneRoute = createRoute({
  ...common,
  method: 'get',
  path: `${PATH}/{id}`,
  ...needs('key:read'),
  operationId: 'getKey',
  summary: 'One client key, with what its budgets have spent',
  request: { params: idParam },
  responses: { 200: jsonReply('The key', keySchema), 401: errorReplies.unauthorized, 404: noSuchKey },
});

const revokeRoute = createRoute({
  ...common,
  method: 'delete',
  path: `${PATH}/{id}`,
  ...needs('key:write'),
  operationId: 'revokeKey',
  summary: 'Revoke a client key',
  description: 'In force at once and for good. Its record and what it used stay.',
  request: { params: idParam, headers: ifMatchHeader },
  responses: { 200: jsonReply('Revoked', keySchema), ...writeErrors },
});

const rotateSchema = z
  .object({
    grace_seconds: z.number().int().optional().openapi({
      description: 'How long the text before still opens the door. Default: a day.',
    }),
  })
  .openapi('KeyRotation');

/** Client keys: who may call, for what, and how much. */
export function addKeyRoutes(app: OpenAPIHono, ports: KeyPorts): void {
  app.openapi(
    listRoute,
    async (context) => context.json(await page(ports, tenancyOf(context, 'key:read'), context.req.valid('query')), 200),
    (result, context) => {
      if (!result.success) throw wrongQuery(listQuery.shape, ALLOWED, context.req.query());
    },
  );
  app.openapi(oneRoute, async (context) => {
    const { id } = context.req.valid('param');
    const record = (await (await ports.keysIfAny())?.find(id)) ?? null;
    return context.json(shownRecord(context, ports, seen(record, tenancyOf(context, 'key:read'), id)), 200);
  });
  app.openapi(revokeRoute, async (context) => {
    const { id } = context.req.valid('param');
    const desk = await ports.keys();
    changeable(keyOf(await desk.stored(id)), context, id);
    const record = await orConflict('key', desk.revoke(id, revisionOf(context), auditOriginOf(context)));
    return context.json(shownRecord(context, ports, found(record, id)), 200);
  });
  addWritingRoutes(app, ports);
}

/** Their bodies are read by our own reader, which names every problem at once; the document gets their schemas all the same. */
function addWritingRoutes(app: OpenAPIHono, ports: KeyPorts): void {
  const json = ['application/json'] as const;
  app.openAPIRegistry.registerPath({
    ...common,
    method: 'post',
    path: PATH,
    ...needs('key:write'),
    operationId: 'createKey',
    summary: 'Make a client key',
    description:
      'From the first key on, every request to /v1 needs one. The text of the key is in this reply and nowhere else.',
    request: { body: fieldsBody },
    responses: {
      201: jsonReply('Made', newKeySchema),
      400: errorReplies.badRequest,
      401: errorReplies.unauthorized,
      503: storeTakesNothing,
    },
  });
  app.post(PATH, ...jsonBody, async (context) => {
    const { name, fields } = readNew(await bodyOf(context), ports);
    const tenancy = tenancyOf(context, 'key:write');
    requireIn(tenancy, fields.projectId ?? DEFAULT_PROJECT);
    const { organisationId } = tenancy;
    const newProject = await newProjectNotes(ports, organisationId, fields.projectId);
    const made = await (await ports.keys()).create({ ...fields, name, organisationId }, auditOriginOf(context));
    const warnings = [...newProject, ...warningsFor(fields.policies?.models, ports)];
    const body = { ...shownRecord(context, ports, made.record), key: made.text.reveal(), warnings };
    context.header('location', `${PATH}/${made.record.key.id}`);
    return context.json(body, 201);
  });

  app.openAPIRegistry.registerPath({
    ...common,
    method: 'patch',
    path: `${PATH}/{id}`,
    ...needs('key:write'),
    operationId: 'updateKey',
    summary: 'Change a client key',
    description: 'What is given takes the place of what was there; null takes it away. In force for the next request.',
    request: {
      params: idParam,
      headers: ifMatchHeader,
      body: { ...fieldsBody, content: { [json[0]]: { schema: keyFieldsSchema.partial() } } },
    },
    responses: { 200: jsonReply('Changed', changedKeySchema), ...writeErrors },
  });
  app.patch(`${PATH}/:id`, ...jsonBody, async (context) => {
    const id = context.req.param('id') ?? '';
    const given = readGiven(await bodyOf(context), ports, []);
    const desk = await ports.keys();
    const change = (key: ClientKey): Fields => {
      // As it is when it is changed: it may have moved since it was looked for.
      refuseRevoked(changeable(key, context, id));
      // Whoever moves it must be at home in both projects.
      requireIn(tenancyOf(context, 'key:write'), given.projectId ?? key.projectId);
      const policies = policiesWith(key.policies, given);
      return { ...plainFields(given), policies, limits: limitsWith(key.limits, given) };
    };
    const { organisationId } = tenancyOf(context, 'key:write');
    const newProject = await newProjectNotes(ports, organisationId, given.projectId);
    const changing = desk.update(id, change, revisionOf(context), auditOriginOf(context));
    const changed = found(await orConflict('key', changing), id);
    const warnings = [...newProject, ...warningsFor(given.models, ports)];
    return context.json({ ...shownRecord(context, ports, changed), warnings }, 200);
  });

  app.openAPIRegistry.registerPath({
    ...common,
    method: 'post',
    path: `${PATH}/{id}/rotate`,
    ...needs('key:write'),
    operationId: 'rotateKey',
    summary: 'Give a client key a new text',
    description:
      'The text before opens the door a while longer, so that nobody is locked out; never more than two do: an older one that still did ends at once, and `warnings` names it.',
    request: {
      params: idParam,
      headers: ifMatchHeader,
      body: { content: { 'application/json': { schema: rotateSchema } } },
    },
    responses: { 200: jsonReply('The new text is in this reply and nowhere else', rotatedKeySchema), ...writeErrors },
  });
  app.post(`${PATH}/:id/rotate`, smallBody, async (context) => {
    const id = context.req.param('id') ?? '';
    const graceMs = await graceOf(context);
    const desk = await ports.keys();
    refuseRevoked(changeable(keyOf(await desk.stored(id)), context, id));
    const rotated = await orConflict('key', desk.rotate(id, graceMs, revisionOf(context), auditOriginOf(context)));
    if (rotated === null) throw notFound(id);
    const warnings = rotated.ended.map(endedText);
    return context.json({ ...shownRecord(context, ports, rotated.record), key: rotated.text.reveal(), warnings }, 200);
  });
}

async function page(
  ports: KeyPorts,
  tenancy: Tenancy,
  { limit = 100, cursor, project, name, prefix, state }: z.infer<typeof listQuery>,
) {
  const desk = await ports.keysIfAny();
  if (cursor !== undefined) await checkCursor(desk, cursor, tenancy.organisationId);
  if (desk === null) return { keys: [], next_cursor: null };
  const { records, nextAfterId } = await desk.page({
    ...{ organisationId: tenancy.organisationId, projectIds: projectsOf(tenancy, project) },
    ...{ limit, afterId: cursor ?? null, name: name ?? null },
    ...{ prefix: prefix ?? null, state: state ?? null },
  });
  const nowMs = ports.wallMs();
  return { keys: records.map((record) => keyBody(record, nowMs)), next_cursor: nextAfterId };
}

/** A page begins behind a key that is on record: keys are never removed. */
async function checkCursor(desk: KeyDesk | null, cursor: string, organisationId: string): Promise<void> {
  const record = (await desk?.stored(cursor)) ?? null;
  if (record?.key.organisationId === organisationId) return;
  const message = `"cursor" is ${JSON.stringify(cursor.slice(0, 60))}: it should be ${ALLOWED['cursor']}.`;
  throw new AdminError(400, 'invalid_query', message, { param: 'cursor' });
}

function shownRecord(context: Context, { wallMs }: KeyPorts, record: KeyRecord) {
  context.header('etag', `"${record.revision}"`);
  return keyBody(record, wallMs());
}

function readNew(body: unknown, ports: KeyPorts): { name: string; fields: Fields } {
  const given = readGiven(body, ports, ['name']);
  return {
    name: given.name ?? '',
    fields: { ...plainFields(given), policies: policiesWith(null, given), limits: limitsWith(NO_LIMITS, given) },
  };
}

function readGiven(body: unknown, { routeNames, wallMs }: KeyPorts, required: readonly string[]): KeyFieldsGiven {
  const { fields, problems } = readKeyBody(body, { routes: routeNames(), nowMs: wallMs(), required });
  if (problems.length > 0) throw refuseFor(problems, 'invalid_key');
  return fields;
}

function plainFields({ models: _, places: __, routes: ___, limits: ____, ...fields }: KeyFieldsGiven): Fields {
  return fields;
}

/** Without a body: a day. */
async function graceOf(context: Context): Promise<number> {
  const text = await context.req.text();
  if (text.trim() === '') return DAY_MS;
  let seconds: unknown;
  try {
    const { grace_seconds, ...unknown } = objectOf(JSON.parse(text));
    const [field] = Object.keys(unknown);
    if (field !== undefined) {
      throw refuseFor([{ field, seen: JSON.stringify(unknown[field]), allowed: 'only grace_seconds' }], 'invalid_key');
    }
    seconds = grace_seconds ?? DAY_MS / 1_000;
  } catch (error) {
    if (error instanceof AdminError) throw error;
    seconds = text.slice(0, 80);
  }
  if (Number.isSafeInteger(seconds) && (seconds as number) >= 0 && (seconds as number) <= MOST_GRACE_S) {
    return (seconds as number) * 1_000;
  }
  const allowed = `a whole number of seconds from 0 to ${MOST_GRACE_S}`;
  throw refuseFor([{ field: 'grace_seconds', seen: JSON.stringify(seconds), allowed }], 'invalid_key');
}

const endedText = (version: KeyVersion): string =>
  `The text before that, ${shownVersion(version)}, is ended now: at most two texts of a key open the door at once.`;

/** A project is made by naming it: a mistyped one would count, and limit, by itself. */
async function newProjectNotes(
  { tenantsIfAny }: KeyPorts,
  organisationId: string,
  projectId: string | undefined,
): Promise<readonly string[]> {
  if (projectId === undefined || projectId === DEFAULT_PROJECT) return [];
  const projects = (await (await tenantsIfAny())?.projects(organisationId)) ?? [];
  return projects.some((project) => project.projectId === projectId) ? [] : [`The project "${projectId}" is new.`];
}

const MOST_WARNINGS = 5;

/** Lists hold what clients write: a name that nobody may ask for lets nothing in. `prefix*` is for names to come, too. */
function warningsFor(models: readonly string[] | null | undefined, known: KnownModels): string[] {
  const exact = (models ?? []).filter((name) => !name.endsWith('*'));
  const unknown = unknownNames(exact, known);
  const told = unknown.slice(0, MOST_WARNINGS);
  const more = unknown.length - told.length;
  return [
    ...told.map((name) => `${noTargetHas(name, known)} The key may use it once one has it.`),
    ...(more > 0 ? [`Nor has any target ${more} more of the models.`] : []),
  ];
}

/** A key of a project that its asker does not see is not there. */
function seen(record: KeyRecord | null, tenancy: Tenancy, id: string): KeyRecord {
  if (record === null || !sees(tenancy, record.key)) throw notFound(id);
  return record;
}

/** To change it takes more than to see it. */
function changeable(key: ClientKey | null, context: Context, id: string): ClientKey {
  if (key === null || !sees(tenancyOf(context, 'key:read'), key)) throw notFound(id);
  requireIn(tenancyOf(context, 'key:write'), key.projectId);
  return key;
}

function refuseRevoked({ id, revokedAtMs }: ClientKey): void {
  if (revokedAtMs === null) return;
  throw new AdminError(400, 'key_revoked', `The key ${id} was revoked; make a new one.`);
}

const keyOf = (record: KeyRecord | null): ClientKey | null => record?.key ?? null;

function found<Record>(record: Record | null, id: string): Record {
  if (record === null) throw notFound(id);
  return record;
}

function notFound(id: string): AdminError {
  return new AdminError(404, 'key_not_found', `There is no client key "${id.slice(0, 100)}". GET ${PATH} lists them.`);
}
