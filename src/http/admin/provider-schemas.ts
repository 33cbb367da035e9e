import { z } from '@hono/zod-openapi';
import { CLOCK_FIELDS, type GivenProvider, inSeconds, providerFields } from '../../core/given-provider.ts';
import { maskSecret } from '../../core/secret.ts';
import { ADAPTER_KINDS, type Target } from '../../core/target.ts';
import type { TargetView } from '../../core/target-view.ts';

const KINDS = [...ADAPTER_KINDS, 'auto'] as const;
const PLACES = ['local', 'cloud'] as const;
const SOURCES = ['environment', 'yaml', 'found', 'admin'] as const;

const seconds = (description: string) =>
  z
    .number()
    .nullable()
    .optional()
    .openapi({ description: `Seconds. ${description}` });
const flag = (description: string) => z.boolean().nullable().optional().openapi({ description });

/** What may be said of one, but its name and kind. */
const settingFields = {
  url: z
    .string()
    .optional()
    .openapi({ description: 'Required, except for `openrouter`.', example: 'http://192.168.1.20:1234' }),
  api_key: z.string().nullable().optional().openapi({
    description: 'Its key. Stored sealed, never returned; it goes to this address alone.',
    format: 'password',
  }),
  network: z.enum(['lan', 'public']).nullable().optional().openapi({
    description:
      'Where its address may lie. `lan` (the default of lm-studio, ollama, llama-cpp, vllm, sglang and auto): also loopback and private networks. `public` (the default of the others): the public internet alone.',
  }),
  place: z.enum(PLACES).nullable().optional().openapi({ description: 'Whether it is one of your own machines.' }),
  max_concurrent: z.number().int().nullable().optional().openapi({ description: 'Requests at once; local ones only.' }),
  default_model: z.string().nullable().optional().openapi({
    description: 'The model (Azure: deployment) that takes names it does not know.',
  }),
  deployments: z.record(z.string(), z.string()).nullable().optional().openapi({
    description: 'Azure: which deployment answers for which asked model.',
  }),
  api_version: z.string().nullable().optional().openapi({ description: 'Azure: for the classic URL form.' }),
  assemble: flag('Local: whole replies are assembled from a stream.'),
  continues_answers: flag('Whether it goes on with an assistant message that stands last.'),
  on_disconnect: z.enum(['cancel', 'drain']).nullable().optional().openapi({
    description: 'Clouds: what becomes of an answer whose client left. `drain`: it is read to its end, within limits.',
  }),
  connect_timeout: seconds('Until a connection stands.'),
  first_byte_timeout: seconds('Until the status line.'),
  first_token_timeout: seconds('Until the first content.'),
  idle_timeout: seconds('Between two chunks.'),
  warmup_timeout: seconds('Until the first content of a model that must be loaded.'),
  stream_timeout: seconds('For the whole stream.'),
  queue_timeout: seconds('For a slot.'),
};
const verify = z.boolean().optional().openapi({
  description: 'Try it with a call that costs nothing; refuse it if that fails. Not for `auto`.',
});

/** For the document; bodies are read with the fields of a target of the YAML file, and every problem is named at once. */
export const newProviderSchema = z
  .object({ name: z.string().openapi({ example: 'studio' }), kind: z.enum(KINDS), ...settingFields, verify })
  .openapi('NewProvider');
export const providerChangeSchema = z.object({ ...settingFields, verify }).openapi('ProviderChange', {
  description: 'What is given takes the place of what was there; null: back to what is usual.',
});
export const providerPutSchema = z.object({ kind: z.enum(KINDS), ...settingFields, verify }).openapi('ProviderPut');

export const providerSchema = z
  .object({
    name: z.string(),
    kind: z.enum(KINDS),
    found_kind: z.enum(ADAPTER_KINDS).nullable().openapi({ description: 'Of `auto`: what it turned out to be.' }),
    place: z.enum(PLACES),
    url: z.string(),
    source: z.enum(SOURCES).openapi({ description: '`admin`: given through this API.' }),
    changeable: z.boolean().openapi({ description: 'True: it was given through this API, and can be changed here.' }),
    replaces: z.enum(SOURCES).nullable().openapi({
      description: 'Where the one of its name comes from that is in force again when this one is deleted.',
    }),
    key: z.string().nullable().openapi({ description: 'Masked; null: it has none.', example: 'sk-…9f3c' }),
    network: z.enum(['any', 'lan', 'public']),
    max_concurrent: z.number().int().nullable(),
    default_model: z.string().nullable(),
    deployments: z.record(z.string(), z.string()),
    api_version: z.string().nullable(),
    assemble: z.boolean(),
    continues_answers: z.boolean().nullable(),
    on_disconnect: z.enum(['cancel', 'drain']),
    timeouts: z.record(z.string(), z.number().nullable()).openapi({ description: 'Seconds, as they are in force.' }),
    given: z.record(z.string(), z.unknown()).nullable().openapi({
      description:
        'What was said through this API, without the key: all else is what is usual. Null: it comes from elsewhere.',
    }),
    health: z.object({
      status: z.enum(['unknown', 'up', 'warming', 'down', 'absent']),
      reason: z.string().nullable(),
      models: z.number().int().nullable().openapi({ description: 'Null: not known yet.' }),
      slots: z.number().int().nullable(),
      in_flight: z.number().int(),
    }),
    revision: z.number().int().openapi({ description: '0: never given through this API.' }),
  })
  .openapi('Provider');

export const writtenSchema = z
  .object({
    provider: providerSchema,
    verified: z.boolean().openapi({ description: 'A free call to it succeeded just now.' }),
    models: z.number().int().nullable().openapi({ description: 'Models found by the free call; null: not tried.' }),
    warnings: z.array(z.string()).openapi({ description: 'What is allowed, but probably not meant.' }),
  })
  .openapi('ProviderWritten');

export const removedSchema = z
  .object({ removed: z.string(), now_in_force: providerSchema.nullable(), message: z.string() })
  .openapi('ProviderRemoved');

/** One target in force, and what is known of where it came from. */
export interface ShownProvider {
  readonly view: TargetView;
  /** Null: it was not given at run time. */
  readonly given: GivenProvider | null;
  /** The target of this name that the environment, YAML or this machine has. */
  readonly base: Target | null;
}

export function providerBody({ view, given, base }: ShownProvider): z.infer<typeof providerSchema> {
  const { target } = view;
  const kind = given?.kind ?? base?.adapterKind ?? target.adapterKind;
  return {
    ...{
      name: target.id,
      kind,
      found_kind: kind === 'auto' && target.adapterKind !== 'auto' ? target.adapterKind : null,
    },
    ...{ place: target.place, url: target.baseUrl, source: target.source, changeable: given !== null },
    replaces: given === null ? null : (base?.source ?? null),
    key: target.apiKey === null ? null : maskSecret(target.apiKey.reveal()),
    ...{ network: target.network, max_concurrent: target.maxConcurrent, default_model: target.defaultModel },
    ...{ deployments: Object.fromEntries(target.deployments), api_version: target.apiVersion },
    ...{ assemble: target.assembleWholeReplies, continues_answers: target.continuesAnswers },
    on_disconnect: target.onDisconnect ?? 'cancel',
    timeouts: Object.fromEntries(CLOCK_FIELDS.map(([field, clock]) => [field, inSeconds(target.clocks[clock])])),
    given: given === null ? null : { ...providerFields(given) },
    health: {
      ...{ status: view.health, reason: view.healthReason, models: view.snapshot?.models.length ?? null },
      ...{ slots: view.slots, in_flight: view.inFlight },
    },
    revision: given?.revision ?? 0,
  };
}
