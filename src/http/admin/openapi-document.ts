import type { OpenAPIHono } from '@hono/zod-openapi';
import { documentDataPlane } from './openapi-data-plane.ts';

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
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    if (path.startsWith('/admin/')) addIdempotency(item);
  }
  return document;
}

const WRITES = ['post', 'put', 'patch', 'delete'] as const;
const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  schema: { type: 'string', maxLength: 255 },
  description:
    'Names this write, for 24 hours: sent once more it is not done once more, and gets the same reply, with `Idempotent-Replayed: true`. 409 while it is under way, 422 when the key came with another request.',
} as const;

/** Every write knows it. */
function addIdempotency(item: PathItem): void {
  for (const method of WRITES) {
    const operation = item[method];
    if (operation !== undefined) operation.parameters = [...(operation.parameters ?? []), IDEMPOTENCY_KEY];
  }
}

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
