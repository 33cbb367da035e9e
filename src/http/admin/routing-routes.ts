import { type OpenAPIHono, z } from '@hono/zod-openapi';
import type { ListedRoute } from '../../core/routing.ts';
import { STRATEGY_NAMES } from '../../core/strategy-names.ts';
import type { RoutingPorts } from './alias-routes.ts';
import { ROUTING_SOURCES, timeOf } from './routing-words.ts';
import { addRunTimeItems } from './run-time-items.ts';

const RECOVERY = ['off', 'continue'] as const;
const strategyField = z.string().openapi({ enum: [...STRATEGY_NAMES] });
const firstToken = 'How long the first token may take locally before the cloud is worth its price.';
const routeSchema = z
  .object({
    name: z.string().openapi({ description: 'What `x-swarmrouter-route` says.' }),
    strategy: strategyField.openapi({ description: 'In force, as are the two below.' }),
    stream_recovery: z.enum(RECOVERY),
    max_first_token_ms: z.number().int().nullable(),
    set: z
      .object({
        strategy: strategyField.nullable(),
        stream_recovery: z.enum(RECOVERY).nullable(),
        max_first_token_ms: z.number().int().nullable(),
      })
      .nullable()
      .openapi({ description: 'What was said through this API; null in it: the gateway’s own setting counts.' }),
    source: z.enum(ROUTING_SOURCES).openapi({ description: '`admin`: set through this API.' }),
    replaces: z.enum(ROUTING_SOURCES).nullable().openapi({
      description: 'Where the one comes from that is in force again when this one is deleted.',
    }),
    revision: z.number().int().openapi({ description: '0: never set through this API.' }),
    updated_at: z.string().nullable(),
  })
  .openapi('Route');
const bodySchema = z
  .object({
    strategy: strategyField.nullable().optional(),
    stream_recovery: z.enum(RECOVERY).nullable().optional(),
    max_first_token_ms: z.number().int().nullable().optional().openapi({ description: firstToken }),
  })
  .openapi('NewRoute', { description: 'What is left out, or null, is as the gateway’s own setting says.' });

/** Ways to treat a request that it may choose by name. */
export function addRoutingRoutes(app: OpenAPIHono, { routing }: RoutingPorts): void {
  addRunTimeItems<ListedRoute>(app, {
    ...{ noun: 'route', plural: 'routes', schemaName: 'Route', article: 'a', exampleName: 'sturdy' },
    permissions: { read: 'route:read', write: 'route:write' },
    schemas: { item: routeSchema, given: bodySchema, set: routeSchema },
    summaries: {
      set: 'Set a route',
      whatSetDoes:
        'In force for the next request and kept over restarts; stronger than one of its name in the YAML file until it is deleted.',
      whatRemoveDoes: 'Requests that name it are refused from then on, unless it replaced one that is in force again.',
    },
    notDeletedHere: 'it is not deleted here',
    nothingThen: 'requests that name it are refused',
    all: () => routing.routes(),
    isNamed: (route, name) => route.name === name,
    set: (name, body, change) => routing.setRoute(name, body, change),
    remove: (name, change) => routing.removeRoute(name, change),
    hint: () =>
      `There are: ${routing
        .routes()
        .slice(0, 50)
        .map(({ name }) => name)
        .join(', ')}.`,
    body: routeBody,
    setBody: (route) => route,
  });
}

const recovery = (on: boolean): (typeof RECOVERY)[number] => (on ? 'continue' : 'off');

function routeBody(route: ListedRoute): z.infer<typeof routeSchema> {
  const { name, settings, inForce, source, replaces, revision, updatedAtMs } = route;
  const { streamRecovery } = settings;
  const set = {
    strategy: settings.strategy,
    stream_recovery: streamRecovery === null ? null : recovery(streamRecovery),
    max_first_token_ms: settings.maxFirstTokenMs,
  };
  return {
    ...{ name, strategy: inForce.strategy },
    ...{ stream_recovery: recovery(inForce.streamRecovery), max_first_token_ms: inForce.maxFirstTokenMs },
    ...{ set: revision === 0 ? null : set, source, replaces, revision, updated_at: timeOf(updatedAtMs) },
  };
}
