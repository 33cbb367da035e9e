import { type OpenAPIHono, z } from '@hono/zod-openapi';
import type { ListedAlias, RoutingDesk } from '../../core/routing.ts';
import { ROUTING_SOURCES, timeOf } from './routing-words.ts';
import { addRunTimeItems } from './run-time-items.ts';
import { type KnownModels, noTargetHas, unknownNames } from './unknown-model.ts';

export interface RoutingPorts extends KnownModels {
  readonly routing: RoutingDesk;
}

const aliasSchema = z
  .object({
    name: z.string(),
    target: z.string().openapi({ description: 'The model that is asked for in its place.', example: 'qwen2.5-32b' }),
    source: z.enum(ROUTING_SOURCES).openapi({ description: '`admin`: set through this API.' }),
    replaces: z.enum(ROUTING_SOURCES).nullable().openapi({
      description: 'Where the one comes from that is in force again when this one is deleted.',
    }),
    revision: z.number().int().openapi({ description: '0: never set through this API.' }),
    updated_at: z.string().nullable(),
  })
  .openapi('Alias');
const setSchema = z.object({ alias: aliasSchema, warnings: z.array(z.string()) }).openapi('AliasSet');
const bodySchema = z
  .object({ target: z.string().openapi({ example: 'openrouter/openai/gpt-4o-mini' }) })
  .openapi('NewAlias');

/** Names that clients may ask for, and the models that they stand for. */
export function addAliasRoutes(app: OpenAPIHono, ports: RoutingPorts): void {
  const { routing } = ports;
  addRunTimeItems<ListedAlias>(app, {
    ...{ noun: 'alias', plural: 'aliases', schemaName: 'Alias', article: 'an', exampleName: 'gpt-4o' },
    permissions: { read: 'alias:read', write: 'alias:write' },
    schemas: { item: aliasSchema, given: bodySchema, set: setSchema },
    summaries: {
      set: 'Set what a name stands for',
      whatSetDoes:
        'In force for the next request and kept over restarts; stronger than one of its name in the environment or YAML until it is deleted. Names are told apart without case.',
      whatRemoveDoes: 'One that it replaced is in force again for the next request.',
    },
    notDeletedHere: 'change it there',
    nothingThen: 'nothing takes its place',
    all: () => routing.aliases(),
    isNamed: (alias, name) => alias.name.toLowerCase() === name.toLowerCase(),
    set: async (name, body, change) => {
      const reading = await routing.setAlias(name, body, change);
      if (!reading.ok) return reading;
      const { item, warnings } = reading.value;
      return { ok: true, value: { ...reading.value, warnings: [...warnings, ...unknownTarget(item, ports)] } };
    },
    remove: (name, change) => routing.removeAlias(name, change),
    hint: () => 'GET /admin/aliases lists them.',
    body: aliasBody,
    setBody: (alias, warnings) => ({ alias, warnings }),
  });
}

function unknownTarget({ target }: ListedAlias, known: KnownModels): string[] {
  return unknownNames([target], known).map(
    (name) => `${noTargetHas(name, known)} The alias leads there once one has it.`,
  );
}

function aliasBody({
  name,
  target,
  source,
  replaces,
  revision,
  updatedAtMs,
}: ListedAlias): z.infer<typeof aliasSchema> {
  return { name, target, source, replaces, revision, updated_at: timeOf(updatedAtMs) };
}
