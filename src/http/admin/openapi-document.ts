import type { OpenAPIHono } from '@hono/zod-openapi';
import { documentDataPlane } from './openapi-data-plane.ts';
import { type DescribedOperation, isIdempotentWrite, refusalsOf, refusalText } from './openapi-refusals.ts';
import { PERMISSION_FIELD } from './permission.ts';

/** Serves `/openapi.json`, built from the route definitions of this app and the described data plane. */
export function addOpenApiDocument(app: OpenAPIHono, version: string): void {
  const registry = app.openAPIRegistry;
  registry.registerComponent('securitySchemes', 'adminKey', {
    type: 'http',
    scheme: 'bearer',
    description: 'The admin key: SWARMROUTER_ADMIN_KEY, or the file admin-key in the data folder.',
  });
  registry.registerComponent('securitySchemes', 'clientKey', {
    type: 'http',
    scheme: 'bearer',
    description: 'A client key. Not needed while the gateway listens on loopback and no client key exists.',
  });
  documentDataPlane(registry);

  let document: string | null = null;
  app.get('/openapi.json', (context) => {
    document ??= JSON.stringify(openApiDocument(app, version));
    return context.body(document, 200, { 'content-type': 'application/json; charset=utf-8' });
  });
}

export function openApiDocument(app: OpenAPIHono, version: string): object {
  const document = documentOf(app, version);
  for (const [path, item] of Object.entries(document.paths ?? {})) completePath(path, item);
  return document;
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  schema: { type: 'string', maxLength: 255 },
  description:
    'Names this write, for 24 hours: sent once more it is not done once more, and gets the same reply, with `Idempotent-Replayed: true`. 409 while it is under way, 422 when the key came with another request.',
} as const;

const ORGANISATION = {
  name: 'x-swarmrouter-organisation',
  in: 'header',
  required: false,
  schema: { type: 'string' },
  description: 'The organisation to act in; only whoever runs the gateway may. Default: your own.',
} as const;

/** What every route goes through is said once, here, and stands with every operation. */
function completePath(path: string, item: PathItem): void {
  for (const method of METHODS) {
    const operation = item[method];
    if (operation === undefined) continue;
    const permission = (operation as { readonly [PERMISSION_FIELD]?: string })[PERMISSION_FIELD] ?? null;
    const described = { method, path, takesBody: operation.requestBody !== undefined, permission };
    const headers = [...(isIdempotentWrite(described) ? [IDEMPOTENCY_KEY] : []), ...(permission ? [ORGANISATION] : [])];
    if (headers.length > 0) operation.parameters = [...(operation.parameters ?? []), ...headers];
    addRefusals(operation, described);
  }
}

function addRefusals(operation: Operation, described: DescribedOperation): void {
  const responses: Record<string, Reply> = { ...operation.responses };
  for (const [status, reasons] of refusalsOf(described)) {
    const said = responses[status];
    responses[status] = {
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      ...said,
      description: refusalText(
        said !== undefined && 'description' in said ? (said.description ?? null) : null,
        reasons,
      ),
    };
  }
  operation.responses = responses;
}

type Operation = NonNullable<PathItem['get']>;
type Reply = NonNullable<Operation['responses']>[string];
type PathItem = NonNullable<ReturnType<typeof documentOf>['paths']>[string];

function documentOf(app: OpenAPIHono, version: string) {
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'SwarmRouter',
      version,
      description:
        'One OpenAI-compatible door in front of your own model servers and the cloud: local first, overflow when needed.',
      license: { name: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: [
      { name: 'Inference', description: 'The OpenAI-compatible endpoints.' },
      { name: 'Operation', description: 'Health and metrics.' },
      { name: 'Administration', description: 'Needs the admin key.' },
      {
        name: 'Routing',
        description: 'Model servers, clouds, aliases and routes. Needs the admin key, a token or a login.',
      },
      { name: 'Keys', description: 'Who may call, for what, and how much. Needs the admin key.' },
      { name: 'Tenants', description: 'Organisations and projects. Needs the admin key, a token or a login.' },
      { name: 'People', description: 'Who may use the control plane, and as what.' },
      { name: 'Usage', description: 'What calls used and cost. Needs the admin key.' },
      { name: 'Audit', description: 'Who changed what. Needs the admin key.' },
    ],
  });
}
