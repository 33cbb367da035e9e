import type { Target } from '../../core/target.ts';
import { OPENAI_MANNER } from '../openai-wire/assemble.ts';
import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { probeAzure } from './probe.ts';
import { chatUrl } from './urls.ts';

export function azureHeaders(target: Target): Record<string, string> {
  return target.apiKey === null ? {} : { 'api-key': target.apiKey.reveal() };
}

/** Reasoning models refuse `max_tokens`; API versions before this one know nothing else. */
const KNOWS_COMPLETION_TOKENS = '2024-09-01';

/** Azure OpenAI: the /openai/v1 form, or with an api-version the classic form with the deployment in the path. OpenAI's models begin a new message. */
export const azureOpenAi: WireVendor = {
  kind: 'azure-openai',
  defaultSlots: 4,
  finishesPrompt: false,
  loadsOnDemand: false,
  modelsInMemory: null,
  rules: { maxTokensOnly: false, continuation: 'no', refuses: [] },
  whole: OPENAI_MANNER,
  tokenLimitField: ({ apiVersion }) =>
    apiVersion === null || apiVersion >= KNOWS_COMPLETION_TOKENS ? 'max_completion_tokens' : 'max_tokens',
  chatUrl,
  headers: azureHeaders,
  probe: (target, signal, tools) => probeAzure(target, signal, tools, azureHeaders(target)),
};
