import { z } from '@hono/zod-openapi';
import { BUDGET_WINDOWS } from '../../core/budget.ts';
import { KEY_STATES, keyState, shownVersion } from '../../core/client-key.ts';
import type { BudgetUse, KeyRecord } from '../../core/key-store.ts';

const NANO = 1e9;

const limitsSchema = z
  .object({
    rpm: z.number().int().nullable().optional().openapi({ description: 'Requests in any 60 seconds.' }),
    tpm: z.number().int().nullable().optional().openapi({ description: 'Tokens in any 60 seconds.' }),
    concurrent: z.number().int().nullable().optional().openapi({ description: 'Requests at once.' }),
  })
  .openapi('KeyLimits');

const budgetSchema = z
  .object({
    limit_usd: z.number().optional(),
    limit_tokens: z.number().int().optional(),
    window: z.enum(BUDGET_WINDOWS),
    hard: z.boolean().optional().openapi({ description: 'True (the default): refuses. False: only warns.' }),
  })
  .openapi('KeyBudget');

/** For the document; bodies are read by key-body.ts, which names every problem at once. */
export const keyFieldsSchema = z
  .object({
    name: z.string().openapi({ example: 'alice' }),
    project: z.string().optional().openapi({ example: 'web' }),
    owner: z.string().nullable().optional(),
    allowed_models: z
      .array(z.string())
      .nullable()
      .optional()
      .openapi({ example: ['qwen*'] }),
    allowed_places: z
      .array(z.enum(['local', 'cloud']))
      .nullable()
      .optional(),
    allowed_routes: z.array(z.string()).nullable().optional(),
    limits: limitsSchema.nullable().optional(),
    budget: budgetSchema.nullable().optional().openapi({ description: 'One, or a list of them.' }),
    expires_at: z.string().nullable().optional().openapi({ example: '2030-01-31T12:00:00Z' }),
    metadata: z.record(z.string(), z.string()).optional(),
  })
  .openapi('KeyFields');

export const keySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    prefix: z.string().openapi({ description: 'How its text begins and ends.', example: 'wgl_live_Ab3d…9f3c' }),
    state: z.enum(KEY_STATES),
    project: z.string(),
    owner: z.string().nullable(),
    allowed_models: z.array(z.string()).nullable(),
    allowed_places: z.array(z.string()).nullable(),
    allowed_routes: z.array(z.string()).nullable(),
    limits: limitsSchema,
    budgets: z.array(
      z.object({
        limit_usd: z.number().optional(),
        limit_tokens: z.number().optional(),
        window: z.string(),
        hard: z.boolean(),
        spent_usd: z.number().optional(),
        spent_tokens: z.number().optional(),
        reserved_usd: z.number().optional(),
        reserved_tokens: z.number().optional(),
        resets_at: z.string().nullable(),
      }),
    ),
    versions: z
      .array(z.object({ prefix: z.string(), created_at: z.string(), expires_at: z.string().nullable() }))
      .openapi({ description: 'The texts that open the door as this key, newest first.' }),
    metadata: z.record(z.string(), z.string()),
    created_at: z.string(),
    expires_at: z.string().nullable(),
    revoked_at: z.string().nullable(),
    revision: z.number().int(),
  })
  .openapi('ClientKey');

const itsText = { key: z.string().openapi({ description: 'Its text. Shown only here.' }) };
const warnings = {
  warnings: z.array(z.string()).openapi({ description: 'What is allowed, but probably not meant.' }),
};
export const newKeySchema = keySchema.extend({ ...itsText, ...warnings }).openapi('NewClientKey');
export const changedKeySchema = keySchema.extend(warnings).openapi('ChangedClientKey');
export const rotatedKeySchema = keySchema.extend({ ...itsText, ...warnings }).openapi('RotatedClientKey');

export function keyBody({ key, revision, budgets }: KeyRecord, nowMs: number): z.infer<typeof keySchema> {
  const { id, name, projectId, owner, policies, limits, versions, metadata } = key;
  return {
    ...{ id, name, prefix: shownVersion(versions[0]), state: keyState(key, nowMs), project: projectId, owner },
    allowed_models: policies.models === null ? null : [...policies.models],
    allowed_places: policies.places === null ? null : [...policies.places],
    allowed_routes: policies.routes === null ? null : [...policies.routes],
    limits: { ...limits },
    budgets: budgets.map(budgetBody),
    versions: versions.map((version) => ({
      prefix: shownVersion(version),
      created_at: isoTime(version.createdAtMs),
      expires_at: isoTimeOrNull(version.expiresAtMs),
    })),
    metadata: { ...metadata },
    created_at: isoTime(key.createdAtMs),
    expires_at: isoTimeOrNull(key.expiresAtMs),
    revoked_at: isoTimeOrNull(key.revokedAtMs),
    revision,
  };
}

export function budgetBody({ unit, window, limit, hard, spent, reserved, resetsAtMs }: BudgetUse) {
  const common = { window, hard, resets_at: isoTimeOrNull(resetsAtMs) };
  return unit === 'usd'
    ? { limit_usd: limit / NANO, ...common, spent_usd: spent / NANO, reserved_usd: reserved / NANO }
    : { limit_tokens: limit, ...common, spent_tokens: spent, reserved_tokens: reserved };
}

const isoTime = (ms: number): string => new Date(ms).toISOString();
const isoTimeOrNull = (ms: number | null): string | null => (ms === null ? null : isoTime(ms));
