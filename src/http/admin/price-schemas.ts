import { z } from '@hono/zod-openapi';
import { RATE_NAMES } from '../../core/price-fields.ts';

const OF_TOKENS = 'USD for a million tokens.';
const AS_ITS_SIDE = `${OF_TOKENS} Absent: these tokens cost what their side costs.`;

const rates = Object.fromEntries(
  RATE_NAMES.map((name) => [name, z.number().optional().openapi({ description: AS_ITS_SIDE })]),
);

/** Rates of a price that is known. */
export const priceShape = {
  ...rates,
  input_usd_per_mtok: z.number().openapi({ description: OF_TOKENS }),
  output_usd_per_mtok: z.number().openapi({ description: OF_TOKENS }),
  usd_per_request: z.number().optional(),
  usd_per_hour: z.number().optional().openapi({ description: 'While an answer is written: electricity.' }),
  tiers: z
    .array(z.looseObject({ above_prompt_tokens: z.number().int() }))
    .optional()
    .openapi({ description: 'Rates of their own for longer prompts.' }),
};

export const setPriceSchema = z
  .object({
    model: z.string(),
    provider: z.string().nullable().openapi({ description: 'Null: at every target, local ones too.' }),
    ...priceShape,
    set_by: z.enum(['api', 'yaml']),
    updated_at: z.string().nullable().openapi({ description: 'Null: the file does not say.' }),
    revision: z.number().int().openapi({ description: '0: the file sets it.' }),
    counts: z.boolean().openapi({ description: 'False: the API sets another price for the same calls.' }),
  })
  .openapi('SetPrice');

export const targetPriceSchema = z
  .object({
    target: z.string(),
    provider: z.string(),
    place: z.enum(['local', 'cloud']),
    model: z.string().openapi({ description: 'As this target is asked for it.' }),
    offered: z.boolean().nullable().openapi({ description: 'Whether the target lists it; null: it does not say.' }),
    source: z
      .enum(['override', 'listed', 'catalogue', 'local-rate', 'unknown'])
      .openapi({ description: '`unknown`: nobody knows a price. It is never taken for 0.' }),
    set_by: z.enum(['api', 'yaml']).nullable(),
    set_for: z
      .object({ model: z.string(), provider: z.string().nullable() })
      .nullable()
      .openapi({ description: 'Of the price that was set, if one was.' }),
    price: z.object(priceShape).nullable().openapi({ description: 'Null: unknown.' }),
  })
  .openapi('TargetPrice');

const amount = { type: 'number', minimum: 0, maximum: 1_000_000 } as const;
const rateProperties = Object.fromEntries(RATE_NAMES.map((name) => [name, { ...amount, example: 0.15 }]));
const REQUIRED_RATES = ['input_usd_per_mtok', 'output_usd_per_mtok'];

/** Read by `readOverride`, as the YAML file is: the same words for what is wrong, and all of it at once. */
export const priceRequestSchema = z.unknown().openapi('PriceRequest', {
  type: 'object',
  required: ['model', ...REQUIRED_RATES],
  additionalProperties: false,
  properties: {
    model: { type: 'string', example: 'gpt-4o-mini' },
    provider: {
      type: 'string',
      description: "A target's name or its provider's. Without it: the model at every target, local ones too.",
    },
    ...rateProperties,
    usd_per_request: amount,
    tiers: {
      type: 'array',
      maxItems: 16,
      items: {
        type: 'object',
        required: ['above_prompt_tokens', ...REQUIRED_RATES],
        additionalProperties: false,
        properties: { above_prompt_tokens: { type: 'integer', minimum: 0 }, ...rateProperties },
      },
    },
  },
});
