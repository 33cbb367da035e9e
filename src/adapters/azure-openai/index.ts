import type { Target } from '../../core/target.ts';
import { OPENAI_MANNER } from '../openai-wire/assemble.ts';
import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { probeAzure } from './probe.ts';
import { chatUrl } from './urls.ts';

export function azureHeaders(target: Target): Record<string, string> {
  return target.apiKey === null ? {} : { 'api-key': target.apiKey.reveal() };
}

/** Azure OpenAI: the /openai/v1 form, or with an api-version the classic form with the deployment in the path. OpenAI's models begin a new message. */
export const azureOpenAi: WireVendor = {
  kind: 'azure-openai',
  defaultSlots: 4,
  finishesPrompt: false,
  loadsOnDemand: false,
  modelsInMemory: null,
  rules: { maxTokensOnly: false, continuation: 'no', refuses: [] },
  whole: OPENAI_MANNER,
  chatUrl,
  headers: azureHeaders,
  probe: (target, signal, tools) => probeAzure(target, signal, tools, azureHeaders(target)),
};
