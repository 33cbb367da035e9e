import { boolean, mapping, secret, text, url } from '../setting-kinds.ts';
import { modelName, optional, setting } from './setting.ts';

/** Where requests may overflow to. */
export const CLOUDS = {
  openrouterEnabled: optional('OPENROUTER_ENABLED', boolean, 'unset: on when the key is there', {
    group: 'OpenRouter',
    doc: 'Whether requests may overflow to OpenRouter.',
    example: 'true',
  }),
  openrouterApiKey: optional('OPENROUTER_API_KEY', secret, 'unset: OpenRouter is off', {
    group: 'OpenRouter',
    doc: 'API key of OpenRouter (https://openrouter.ai/keys).',
  }),
  openrouterBaseUrl: setting('OPENROUTER_BASE_URL', url, 'https://openrouter.ai/api/v1', {
    group: 'OpenRouter',
    doc: "Base of OpenRouter's API.",
  }),
  openrouterDefaultModel: optional('OPENROUTER_DEFAULT_MODEL', modelName, 'unset: none', {
    group: 'OpenRouter',
    doc: 'The model that takes requests for names that OpenRouter does not know.',
    example: 'openai/gpt-4o-mini',
  }),

  azureEnabled: optional('AZURE_ENABLED', boolean, 'unset: on when the key is there', {
    group: 'Azure OpenAI',
    doc: 'Whether requests may overflow to Azure OpenAI.',
    example: 'true',
  }),
  azureEndpoint: optional('AZURE_ENDPOINT', url, 'unset: Azure is off', {
    group: 'Azure OpenAI',
    doc: 'Endpoint of the Azure OpenAI resource. A pasted `/openai/v1` at the end is dropped.',
    example: 'https://my-resource.openai.azure.com',
  }),
  azureApiKey: optional('AZURE_API_KEY', secret, 'unset: Azure is off', {
    group: 'Azure OpenAI',
    doc: 'API key of the Azure OpenAI resource.',
  }),
  azureApiVersion: optional(
    'AZURE_API_VERSION',
    text('an API version such as 2024-10-21', 'version'),
    'unset: the /openai/v1 form',
    {
      group: 'Azure OpenAI',
      doc: 'API version of the classic URL form (`/openai/deployments/…`).',
      example: '2024-10-21',
    },
  ),
  azureDeployments: optional(
    'AZURE_DEPLOYMENTS',
    mapping('`model=deployment` pairs, separated by commas'),
    'unset: the deployment is named like the model',
    {
      group: 'Azure OpenAI',
      doc: 'Which deployment answers for which asked model.',
      example: 'gpt-4o=my-gpt-4o,gpt-4o-mini=my-mini',
    },
  ),
  azureDefaultDeployment: optional('AZURE_DEFAULT_DEPLOYMENT', text('a deployment name', 'deployment'), 'unset: none', {
    group: 'Azure OpenAI',
    doc: 'The deployment that takes requests for names that Azure does not know.',
    example: 'my-mini',
  }),
} as const;
