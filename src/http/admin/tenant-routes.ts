import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { AuditOrigin } from '../../core/audit.ts';
import { DEFAULT_ORGANISATION, DEFAULT_PROJECT } from '../../core/caller.ts';
import { isObject } from '../../core/json-shape.ts';
import { type Organisation, type Project, TENANT_ID, TENANT_ID_ALLOWED } from '../../core/tenants.ts';
import { unknownField } from './budget-body.ts';
import { AdminError } from './error-envelope.ts';
import { ifMatchHeader, orConflict, revisionOf } from './if-match.ts';
import { bodyOf, jsonBody } from './json-body.ts';
import { auditOriginOf } from './origin.ts';
import { nextCursor, PAGE_ALLOWED, pageOf, pageQuery } from './page.ts';
import { peopleRefused } from './people-problems.ts';
import { needs } from './permission.ts';
import { type Problem, refuseFor, shown } from './problems.ts';
import { changedSince, errorReplies, errorSchema, jsonReply, storeTakesNothing } from './schemas.ts';
import { sees, tenancyOf } from './tenancy.ts';
import { wrongQuery } from './wrong-query.ts';

/** Makes and renames organisations and projects. Null: there is no such one. */
export interface TenantDesk {
  organisations(): Promise<readonly Organisation[]>;
  projects(organisationId: string): Promise<readonly Project[]>;
  createOrganisation(given: Pick<Organisation, 'organisationId' | 'name'>, origin: AuditOrigin): Promise<Organisation>;
  createProject(given: Pick<Project, 'organisationId' | 'projectId' | 'name'>, origin: AuditOrigin): Promise<Project>;
  renameOrganisation(
    organisationId: string,
    name: string,
    revision: number | null,
    origin: AuditOrigin,
  ): Promise<Organisation | null>;
  renameProject(
    project: Pick<Project, 'organisationId' | 'projectId'>,
    name: string,
    revision: number | null,
    origin: AuditOrigin,
  ): Promise<Project | null>;
}

export interface TenantPorts {
  /** Makes the store where there is none. */
  readonly tenants: () => Promise<TenantDesk>;
  /** Null: there is no store, and so nothing but `default`. */
  readonly tenantsIfAny: () => Promise<TenantDesk | null>;
}

const PROJECTS = '/admin/projects';
const ORGANISATIONS = '/admin/organisations';
const NAME = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,100}$/u;

const common = { tags: ['Tenants'] };
const idParam = z.object({ id: z.string().openapi({ example: 'web' }) });
const tenantFields = {
  ...{ id: z.string(), name: z.string() },
  created_at: z.string().nullable().openapi({ description: 'Null: it is there from the beginning.' }),
  revision: z.number().int(),
};
const projectSchema = z.object({ ...tenantFields, organisation: z.string() }).openapi('Project');
const organisationSchema = z.object(tenantFields).openapi('Organisation');
const newTenantSchema = z
  .object({
    id: z.string().openapi({ description: `Cannot be changed: ${TENANT_ID_ALLOWED}.`, example: 'web' }),
    name: z.string().optional().openapi({ description: 'For people. Default: the id.' }),
  })
  .openapi('NewTenant');
const renameSchema = z.object({ name: z.string() }).openapi('TenantChange');
const writeErrors = {
  400: errorReplies.badRequest,
  401: errorReplies.unauthorized,
  412: changedSince,
  503: storeTakesNothing,
};
const exists = jsonReply('There is one of this id already', errorSchema);
const missing = jsonReply('There is no such one', errorSchema);

const listProjects = createRoute({
  ...common,
  ...needs('project:read'),
  method: 'get',
  path: PROJECTS,
  operationId: 'listProjects',
  summary: 'Projects of the organisation, those that you see',
  request: { query: z.strictObject(pageQuery) },
  responses: {
    200: jsonReply(
      'One page, by id',
      z.object({ projects: z.array(projectSchema), next_cursor: nextCursor }).openapi('ProjectList'),
    ),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
  },
});
const listOrganisations = createRoute({
  ...common,
  ...needs('organisation:read'),
  method: 'get',
  path: ORGANISATIONS,
  operationId: 'listOrganisations',
  summary: 'All organisations of this gateway',
  request: { query: z.strictObject(pageQuery) },
  responses: {
    200: jsonReply(
      'One page, by id',
      z.object({ organisations: z.array(organisationSchema), next_cursor: nextCursor }).openapi('OrganisationList'),
    ),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
  },
});

/** Organisations, none of which sees anything of another, and their projects. */
export function addTenantRoutes(app: OpenAPIHono, ports: TenantPorts): void {
  app.openapi(
    listProjects,
    async (context) => {
      const tenancy = tenancyOf(context, 'project:read');
      const desk = await ports.tenantsIfAny();
      const projects = desk === null ? [DEFAULT] : await desk.projects(tenancy.organisationId);
      const seen = projects.filter((project) => sees(tenancy, project));
      const { items, next_cursor } = pageOf(seen, ({ projectId }) => projectId, context.req.valid('query'));
      return context.json({ projects: items.map(projectBody), next_cursor }, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(pageQuery, PAGE_ALLOWED, context.req.query());
    },
  );
  app.openapi(
    listOrganisations,
    async (context) => {
      const desk = await ports.tenantsIfAny();
      const organisations: readonly Organisation[] = desk === null ? [DEFAULT] : await desk.organisations();
      const { items, next_cursor } = pageOf(
        organisations,
        ({ organisationId }) => organisationId,
        context.req.valid('query'),
      );
      return context.json({ organisations: items.map(organisationBody), next_cursor }, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(pageQuery, PAGE_ALLOWED, context.req.query());
    },
  );
  addProjectWrites(app, ports);
  addOrganisationWrites(app, ports);
}

function addProjectWrites(app: OpenAPIHono, { tenants }: TenantPorts): void {
  app.openAPIRegistry.registerPath({
    ...common,
    ...needs('project:write'),
    method: 'post',
    path: PROJECTS,
    operationId: 'createProject',
    summary: 'Make a project',
    description: 'A key for a project that is not there makes it too.',
    request: { body: { required: true, content: { 'application/json': { schema: newTenantSchema } } } },
    responses: { 201: jsonReply('Made', projectSchema), ...writeErrors, 409: exists },
  });
  app.post(PROJECTS, ...jsonBody, async (context) => {
    const { id, name } = readNew(await bodyOf(context));
    const { organisationId } = context.get('principal');
    const making = (await tenants()).createProject({ organisationId, projectId: id, name }, auditOriginOf(context));
    const made = await making.catch(peopleRefused('project:write', 'id'));
    context.header('location', `${PROJECTS}/${id}`);
    return context.json(withEtag(context, made, projectBody(made)), 201);
  });
  app.openAPIRegistry.registerPath({
    ...common,
    ...needs('project:write'),
    method: 'patch',
    path: `${PROJECTS}/{id}`,
    operationId: 'updateProject',
    summary: 'Rename a project',
    request: {
      params: idParam,
      headers: ifMatchHeader,
      body: { required: true, content: { 'application/json': { schema: renameSchema } } },
    },
    responses: { 200: jsonReply('Renamed', projectSchema), ...writeErrors, 404: missing },
  });
  app.patch(`${PROJECTS}/:id`, ...jsonBody, async (context) => {
    const projectId = context.req.param('id') ?? '';
    const name = readName(await bodyOf(context));
    const { organisationId } = context.get('principal');
    const renaming = (await tenants()).renameProject(
      { organisationId, projectId },
      name,
      revisionOf(context),
      auditOriginOf(context),
    );
    const renamed = found(await orConflict('project', renaming), 'project', projectId, PROJECTS);
    return context.json(withEtag(context, renamed, projectBody(renamed)), 200);
  });
}

function addOrganisationWrites(app: OpenAPIHono, { tenants }: TenantPorts): void {
  app.openAPIRegistry.registerPath({
    ...common,
    ...needs('organisation:write'),
    method: 'post',
    path: ORGANISATIONS,
    operationId: 'createOrganisation',
    summary: 'Make an organisation',
    description:
      'Act in it with the header x-swarmrouter-organisation: make its first user or token there, and leave the rest to them.',
    request: { body: { required: true, content: { 'application/json': { schema: newTenantSchema } } } },
    responses: { 201: jsonReply('Made', organisationSchema), ...writeErrors, 409: exists },
  });
  app.post(ORGANISATIONS, ...jsonBody, async (context) => {
    const { id: organisationId, name } = readNew(await bodyOf(context));
    const making = (await tenants()).createOrganisation({ organisationId, name }, auditOriginOf(context));
    const made = await making.catch(peopleRefused('organisation:write', 'id'));
    context.header('location', `${ORGANISATIONS}/${organisationId}`);
    return context.json(withEtag(context, made, organisationBody(made)), 201);
  });
  app.openAPIRegistry.registerPath({
    ...common,
    ...needs('organisation:write'),
    method: 'patch',
    path: `${ORGANISATIONS}/{id}`,
    operationId: 'updateOrganisation',
    summary: 'Rename an organisation',
    request: {
      params: idParam,
      headers: ifMatchHeader,
      body: { required: true, content: { 'application/json': { schema: renameSchema } } },
    },
    responses: { 200: jsonReply('Renamed', organisationSchema), ...writeErrors, 404: missing },
  });
  app.patch(`${ORGANISATIONS}/:id`, ...jsonBody, async (context) => {
    const id = context.req.param('id') ?? '';
    const name = readName(await bodyOf(context));
    const renaming = (await tenants()).renameOrganisation(id, name, revisionOf(context), auditOriginOf(context));
    const renamed = found(await orConflict('organisation', renaming), 'organisation', id, ORGANISATIONS);
    return context.json(withEtag(context, renamed, organisationBody(renamed)), 200);
  });
}

/** What is there before there is a store. */
const DEFAULT: Project = {
  ...{ organisationId: DEFAULT_ORGANISATION, projectId: DEFAULT_PROJECT, name: 'Default' },
  ...{ createdAtMs: 0, revision: 1 },
};

/** Pure. @throws AdminError with every problem at once */
function readNew(body: unknown): { readonly id: string; readonly name: string } {
  const { id, name = id, ...unknown } = objectOrRefuse(body);
  const problems: Problem[] = Object.keys(unknown).map((field) => unknownField(field, ['id', 'name']));
  if (typeof id !== 'string' || !TENANT_ID.test(id)) {
    problems.push({ field: 'id', seen: id === undefined ? null : shown(id), allowed: TENANT_ID_ALLOWED });
  } else checkName(name, problems);
  if (problems.length > 0) throw refuseFor(problems, 'invalid_tenant');
  return { id: String(id), name: String(name).trim() };
}

function readName(body: unknown): string {
  const { name, ...unknown } = objectOrRefuse(body);
  const problems: Problem[] = Object.keys(unknown).map((field) => unknownField(field, ['name']));
  checkName(name, problems);
  if (problems.length > 0) throw refuseFor(problems, 'invalid_tenant');
  return String(name).trim();
}

function objectOrRefuse(body: unknown): Readonly<Record<string, unknown>> {
  if (isObject(body)) return body;
  throw refuseFor([{ field: 'body', seen: shown(body), allowed: 'one JSON object' }], 'invalid_tenant');
}

function checkName(name: unknown, problems: Problem[]): void {
  if (typeof name === 'string' && NAME.test(name) && name.trim() !== '') return;
  problems.push({ field: 'name', seen: name === undefined ? null : shown(name), allowed: '1 to 100 characters' });
}

function found<Tenant>(tenant: Tenant | null, what: string, id: string, path: string): Tenant {
  if (tenant !== null) return tenant;
  const message = `There is no ${what} "${id.slice(0, 100)}". GET ${path} lists them.`;
  throw new AdminError(404, `${what}_not_found`, message);
}

function withEtag<Body>(context: Context, { revision }: Organisation, body: Body): Body {
  context.header('etag', `"${revision}"`);
  return body;
}

function projectBody(project: Project): z.infer<typeof projectSchema> {
  const { projectId, organisationId } = project;
  return { ...organisationBody(project), id: projectId, organisation: organisationId };
}

function organisationBody(tenant: Organisation): z.infer<typeof organisationSchema> {
  const { organisationId, name, createdAtMs, revision } = tenant;
  return {
    id: organisationId,
    name,
    created_at: createdAtMs === 0 ? null : new Date(createdAtMs).toISOString(),
    revision,
  };
}
