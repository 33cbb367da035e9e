import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { AuditOrigin } from '../../core/audit.ts';
import { BUDGET_WINDOWS, SHARED_SCOPES } from '../../core/budget.ts';
import { BudgetExists, NoSuchProject, type SharedBudget, type SharedBudgetRecord } from '../../core/budget-store.ts';
import type { BudgetLimit } from '../../core/client-key.ts';
import { nearestName } from '../../core/nearest-name.ts';
import { type BudgetReading, readBudgetChange, readSharedBudget, type SharedBudgetGiven } from './budget-body.ts';
import { AdminError } from './error-envelope.ts';
import { ifMatchHeader, orConflict, revisionOf } from './if-match.ts';
import { bodyOf, jsonBody } from './json-body.ts';
import { budgetBody } from './key-schemas.ts';
import { auditOriginOf } from './origin.ts';
import { byAge, nextCursor, PAGE_ALLOWED, pageOf, pageQuery } from './page.ts';
import { needs } from './permission.ts';
import { refuseFor } from './problems.ts';
import { changedSince, errorReplies, errorSchema, jsonReply, storeTakesNothing } from './schemas.ts';
import { requireIn, sees, type Tenancy, tenancyOf } from './tenancy.ts';
import { type KnownModels, noTargetHas, serverNamesOf } from './unknown-model.ts';
import { wrongQuery } from './wrong-query.ts';

type Change = Partial<Pick<BudgetLimit, 'limit' | 'hard'>>;

/** Sets, changes and ends budgets that several keys share. Null: there is no such budget. */
export interface BudgetDesk {
  all(): Promise<readonly SharedBudgetRecord[]>;
  find(id: string): Promise<SharedBudgetRecord | null>;
  /** As the store has it, for who is about to change it: waits for nothing, and what was spent a moment ago may be missing. */
  stored(id: string): Promise<SharedBudgetRecord | null>;
  create(
    budget: Pick<SharedBudget, 'organisationId' | 'scope' | 'scopeId' | keyof BudgetLimit>,
    origin: AuditOrigin,
  ): Promise<SharedBudgetRecord>;
  update(id: string, to: Change, revision: number | null, origin: AuditOrigin): Promise<SharedBudgetRecord | null>;
  remove(id: string, revision: number | null, origin: AuditOrigin): Promise<SharedBudgetRecord | null>;
}

export interface BudgetPorts extends KnownModels {
  /** Makes the store where there is none. */
  readonly budgets: () => Promise<BudgetDesk>;
  /** Null: there is no store, and so no budget. */
  readonly budgetsIfAny: () => Promise<BudgetDesk | null>;
}

const PATH = '/admin/budgets';

const common = { tags: ['Keys'] };
const idParam = z.object({ id: z.string().openapi({ example: 'bud_0199…' }) });
const noSuchBudget = jsonReply('There is no such budget', errorSchema);
const writeErrors = {
  400: errorReplies.badRequest,
  401: errorReplies.unauthorized,
  404: noSuchBudget,
  412: changedSince,
  503: storeTakesNothing,
};

const limitFields = {
  limit_usd: z.number().optional().openapi({ example: 100 }),
  limit_tokens: z.number().int().optional(),
  hard: z.boolean().optional().openapi({ description: 'True (the default): refuses. False: only warns.' }),
};
const newBudgetSchema = z
  .object({
    scope: z.enum(SHARED_SCOPES),
    name: z.string().optional().openapi({
      description:
        'The id of the project, or the name of the model as its servers call it; of an organisation: left out.',
      example: 'web',
    }),
    ...limitFields,
    window: z.enum(BUDGET_WINDOWS),
  })
  .openapi('NewBudget');
const budgetChangeSchema = z.object(limitFields).openapi('BudgetChange');
const budgetSchema = z
  .object({
    id: z.string(),
    scope: z.enum(SHARED_SCOPES),
    name: z.string(),
    limit_usd: z.number().optional(),
    limit_tokens: z.number().optional(),
    window: z.string(),
    hard: z.boolean(),
    spent_usd: z.number().optional(),
    spent_tokens: z.number().optional(),
    reserved_usd: z.number().optional(),
    reserved_tokens: z.number().optional(),
    resets_at: z.string().nullable(),
    created_at: z.string(),
    revision: z.number().int(),
  })
  .openapi('Budget');
const madeSchema = budgetSchema
  .extend({ warnings: z.array(z.string()).openapi({ description: 'What is allowed, but probably not meant.' }) })
  .openapi('MadeBudget');
const listSchema = z.object({ budgets: z.array(budgetSchema), next_cursor: nextCursor }).openapi('BudgetList');
const listQuery = z.strictObject({
  ...pageQuery,
  scope: z.enum(SHARED_SCOPES).optional(),
  name: z.string().min(1).max(512).optional(),
});
const ALLOWED: Readonly<Record<string, string>> = {
  ...PAGE_ALLOWED,
  scope: SHARED_SCOPES.join(', '),
  name: 'the id of a project or organisation, or the name of a model',
};

const listRoute = createRoute({
  ...common,
  method: 'get',
  path: PATH,
  ...needs('budget:read'),
  operationId: 'listBudgets',
  summary: 'Budgets of organisations, projects and models, with what they have spent; those of keys are with the keys',
  request: { query: listQuery },
  responses: {
    200: jsonReply('One page, oldest first', listSchema),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
  },
});

const oneRoute = createRoute({
  ...common,
  method: 'get',
  path: `${PATH}/{id}`,
  ...needs('budget:read'),
  operationId: 'getBudget',
  summary: 'One budget, with what it has spent',
  request: { params: idParam },
  responses: { 200: jsonReply('The budget', budgetSchema), 401: errorReplies.unauthorized, 404: noSuchBudget },
});

const removeRoute = createRoute({
  ...common,
  method: 'delete',
  path: `${PATH}/{id}`,
  ...needs('budget:write'),
  operationId: 'removeBudget',
  summary: 'Remove a budget',
  description: 'It limits nothing any more, at once. What it counted stays on record.',
  request: { params: idParam, headers: ifMatchHeader },
  responses: { 200: jsonReply('What it was', budgetSchema), ...writeErrors },
});

/** What several keys may spend together. */
export function addBudgetRoutes(app: OpenAPIHono, ports: BudgetPorts): void {
  app.openapi(
    listRoute,
    async (context) => {
      const { scope, name, ...page } = context.req.valid('query');
      const tenancy = tenancyOf(context, 'budget:read');
      const budgets = ((await (await ports.budgetsIfAny())?.all()) ?? []).filter(
        (budget) =>
          isSeen(budget, tenancy) &&
          (scope === undefined || budget.scope === scope) &&
          (name === undefined || budget.scopeId === name),
      );
      const { items, next_cursor } = pageOf(budgets, ({ createdAtMs, id }) => byAge(createdAtMs, id), page);
      return context.json({ budgets: items.map(recordBody), next_cursor }, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(listQuery.shape, ALLOWED, context.req.query());
    },
  );
  app.openapi(oneRoute, async (context) => {
    const { id } = context.req.valid('param');
    const record = await (await ports.budgetsIfAny())?.find(id);
    return context.json(shownRecord(context, seen(record, tenancyOf(context, 'budget:read'), id)), 200);
  });
  app.openapi(removeRoute, async (context) => {
    const { id } = context.req.valid('param');
    const desk = found(await ports.budgetsIfAny(), id);
    changeable(await desk.stored(id), context, id);
    const removed = await orConflict('budget', desk.remove(id, revisionOf(context), auditOriginOf(context)));
    return context.json(recordBody(found(removed, id)), 200);
  });
  addWritingRoutes(app, ports);
}

/** Their bodies are read by our own reader, which names every problem at once; the document gets their schemas all the same. */
function addWritingRoutes(app: OpenAPIHono, ports: BudgetPorts): void {
  app.openAPIRegistry.registerPath({
    ...common,
    method: 'post',
    path: PATH,
    ...needs('budget:write'),
    operationId: 'createBudget',
    summary: 'Limit what an organisation, a project or a model may cost',
    description: 'In force for the next call. Of one unit and window each of them has one budget.',
    request: { body: { required: true, content: { 'application/json': { schema: newBudgetSchema } } } },
    responses: {
      201: jsonReply('Made', madeSchema),
      400: errorReplies.badRequest,
      401: errorReplies.unauthorized,
      409: jsonReply('There is one of this unit and window already', errorSchema),
      503: storeTakesNothing,
    },
  });
  app.post(PATH, ...jsonBody, async (context) => {
    const tenancy = tenancyOf(context, 'budget:write');
    const { organisationId } = tenancy;
    const given = readOf(readSharedBudget(await bodyOf(context), organisationId));
    requireIn(tenancy, projectOf(given));
    const desk = await ports.budgets();
    const made = await desk.create({ ...given, organisationId }, auditOriginOf(context)).catch(refused);
    context.header('location', `${PATH}/${made.id}`);
    return context.json({ ...shownRecord(context, made), warnings: warningsFor(given, ports) }, 201);
  });

  app.openAPIRegistry.registerPath({
    ...common,
    method: 'patch',
    path: `${PATH}/{id}`,
    ...needs('budget:write'),
    operationId: 'updateBudget',
    summary: 'Change the limit of a budget',
    description: 'In force for the next call. What was spent stays.',
    request: {
      params: idParam,
      headers: ifMatchHeader,
      body: { required: true, content: { 'application/json': { schema: budgetChangeSchema } } },
    },
    responses: { 200: jsonReply('Changed', budgetSchema), ...writeErrors },
  });
  app.patch(`${PATH}/:id`, ...jsonBody, async (context) => {
    const id = context.req.param('id') ?? '';
    const desk = found(await ports.budgetsIfAny(), id);
    const before = changeable(await desk.stored(id), context, id);
    const to = readOf(readBudgetChange(await bodyOf(context), before.unit));
    const changing = desk.update(id, to, revisionOf(context), auditOriginOf(context));
    return context.json(shownRecord(context, found(await orConflict('budget', changing), id)), 200);
  });
}

/** Null: it is the whole organisation's, as one of a model is. */
function projectOf({ scope, scopeId }: Pick<SharedBudget, 'scope' | 'scopeId'>): string | null {
  return scope === 'project' ? scopeId : null;
}

function isSeen(budget: SharedBudgetRecord, tenancy: Tenancy): boolean {
  return sees(tenancy, { organisationId: budget.organisationId, projectId: projectOf(budget) });
}

function seen(record: SharedBudgetRecord | null | undefined, tenancy: Tenancy, id: string): SharedBudgetRecord {
  const budget = found(record, id);
  return found(isSeen(budget, tenancy) ? budget : null, id);
}

/** To change it takes more than to see it. */
function changeable(record: SharedBudgetRecord | null, context: Context, id: string): SharedBudgetRecord {
  const budget = seen(record, tenancyOf(context, 'budget:read'), id);
  requireIn(tenancyOf(context, 'budget:write'), projectOf(budget));
  return budget;
}

function recordBody(record: SharedBudgetRecord): z.infer<typeof budgetSchema> {
  const { id, scope, scopeId, createdAtMs, revision } = record;
  return {
    ...{ id, scope, name: scopeId },
    ...budgetBody(record),
    ...{ created_at: new Date(createdAtMs).toISOString(), revision },
  };
}

function shownRecord(context: Context, record: SharedBudgetRecord) {
  context.header('etag', `"${record.revision}"`);
  return recordBody(record);
}

function readOf<Value>(reading: BudgetReading<Value>): Value {
  if (!reading.ok) throw refuseFor(reading.problems, 'invalid_budget');
  return reading.value;
}

/** A budget counts calls by the name that a server gives its model: for any other name it would count nothing. */
function warningsFor({ scope, scopeId }: SharedBudgetGiven, known: KnownModels): string[] {
  if (scope !== 'model') return [];
  const names = serverNamesOf(scopeId, known);
  if (names.includes(scopeId)) return [];
  if (names.length === 0) return [`${noTargetHas(scopeId, known)} The budget counts once one has it.`];
  return [
    `No server calls a model "${scopeId}": they call it ${names.join(', ')}, and calls are counted by these names.`,
  ];
}

function refused(error: unknown): never {
  if (error instanceof BudgetExists) {
    const { id, unit, window } = error.existing;
    const message = `There is a budget of this unit (${unit}) and window (${window}) already. Change that one: PATCH ${PATH}/${id}. Nothing was changed.`;
    throw new AdminError(409, 'budget_exists', message);
  }
  if (!(error instanceof NoSuchProject)) throw error;
  const nearest = nearestName(error.projectId, error.projects);
  const hint = nearest === null ? '' : ` Did you mean "${nearest}"?`;
  const message = `${error.message}${hint} There are: ${error.projects.slice(0, 20).join(', ')}. A project is made by itself (POST /admin/projects) or with its first key. Nothing was changed.`;
  throw new AdminError(400, 'project_not_found', message, { param: 'name' });
}

function found<Found>(record: Found | null | undefined, id: string): Found {
  if (record !== null && record !== undefined) return record;
  throw new AdminError(404, 'budget_not_found', `There is no budget "${id.slice(0, 100)}". GET ${PATH} lists them.`);
}
