import { z } from '@hono/zod-openapi';
import { NOTHING_MORE, type ProviderGiven } from '../../core/given-provider.ts';
import { Secret } from '../../core/secret.ts';

/** What a target's id may look like. */
export const PROVIDER_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

const text = (allowed: string) =>
  z.string({ error: allowed }).trim().min(1, { error: allowed }).max(512, { error: allowed });

/** A key goes into a header: white space or a line break inside would end it there. */
const apiKey = z
  .string({ error: "the provider's key as text" })
  .trim()
  .regex(/^[\x21-\x7e]{1,4096}$/, { error: "the provider's key: printable ASCII without spaces" })
  .openapi({ description: "The provider's key. Stored owner-only, never returned.", format: 'password' });

const address = (example: string) =>
  z
    .string({ error: `an http(s) URL such as ${example}` })
    .trim()
    .max(2048, { error: `an http(s) URL such as ${example}` })
    .refine(isPlainUrl, {
      error: `an http(s) URL without credentials, query or fragment, such as ${example}`,
    })
    .openapi({ example });

const verify = z
  .boolean({ error: 'true or false' })
  .default(false)
  .openapi({ description: 'Try the provider with a call that costs nothing; refuse it if that fails.' });

const defaultModel = text('a model name').optional().openapi({
  description: 'Model that takes names which this provider does not know.',
});

const network = z
  .enum(['lan', 'public'], { error: '"public" (the default) or "lan"' })
  .default('public')
  .openapi({ description: '`lan`: a private or loopback address is meant. `public`: the address must be public.' });

const openRouterBody = z
  .strictObject({
    type: z.literal('openrouter'),
    api_key: apiKey,
    base_url: address('https://openrouter.ai/api/v1').optional(),
    default_model: defaultModel,
    network,
    verify,
  })
  .openapi('OpenRouterProvider');

const azureBody = z
  .strictObject({
    type: z.literal('azure'),
    endpoint: address('https://my-resource.openai.azure.com'),
    api_key: apiKey,
    api_version: text('an api-version such as 2024-10-21').optional().openapi({
      description: 'For the classic URL form; leave it out for /openai/v1.',
    }),
    deployments: z
      .record(z.string(), text('the name of a deployment'), { error: 'an object of model → deployment' })
      .default({})
      .openapi({ description: 'Asked model → deployment.', example: { 'gpt-4o': 'my-gpt-4o' } }),
    default_deployment: text('the name of a deployment').optional().openapi({
      description: 'Deployment that takes models which the map does not name.',
    }),
    network,
    verify,
  })
  .openapi('AzureProvider');

const compatibleBody = z
  .strictObject({
    type: z.literal('openai-compatible'),
    name: z
      .string({ error: 'a short name' })
      .regex(PROVIDER_NAME, {
        error: 'at most 63 of a-z, 0-9, ".", "_" and "-", beginning with a letter or digit',
      })
      .openapi({ example: 'my-provider' }),
    base_url: address('https://api.example.com/v1'),
    api_key: apiKey,
    default_model: defaultModel,
    network,
    verify,
  })
  .openapi('OpenAiCompatibleProvider');

const variants = [openRouterBody, azureBody, compatibleBody] as const;

export const overflowProviderBody = z
  .discriminatedUnion('type', variants, { error: 'one of "openrouter", "azure", "openai-compatible"' })
  .openapi('OverflowProviderRequest');

export type OverflowProviderBody = z.infer<typeof overflowProviderBody>;

/** The fields that a body of this type may have; for an unknown type all of them. */
export function fieldsOf(type: unknown): readonly string[] {
  const fitting = variants.filter((variant) => variant.shape.type.value === type);
  return [...new Set((fitting.length > 0 ? fitting : variants).flatMap((variant) => Object.keys(variant.shape)))];
}

/** The request's words → the product's. */
export function toGivenProvider(body: OverflowProviderBody): ProviderGiven {
  const common = { ...NOTHING_MORE, apiKey: new Secret(body.api_key), network: body.network };
  switch (body.type) {
    case 'openrouter': {
      const url = body.base_url === undefined ? null : normalUrl(body.base_url);
      const defaultModel = body.default_model ?? null;
      return { ...common, kind: 'openrouter', name: 'openrouter', url, defaultModel };
    }
    case 'azure':
      return {
        ...{ ...common, kind: 'azure-openai', name: 'azure', url: normalUrl(body.endpoint) },
        apiVersion: body.api_version ?? null,
        deployments: body.deployments,
        defaultModel: body.default_deployment ?? null,
      };
    case 'openai-compatible':
      return {
        ...{ ...common, kind: 'openai-compatible', name: body.name, url: normalUrl(body.base_url) },
        defaultModel: body.default_model ?? null,
      };
  }
}

function isPlainUrl(value: string): boolean {
  const url = URL.parse(value);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') return false;
  // `http://2130706433` and `http://0x7f.1` are spelled to look harmless: an address is written as it is.
  if (/^[\d.]+$/.test(url.hostname) && !value.includes(url.hostname)) return false;
  return url.username === '' && url.password === '' && !/[?#\\]/.test(value);
}

function normalUrl(value: string): string {
  return new URL(value).href.replace(/\/+$/, '');
}
