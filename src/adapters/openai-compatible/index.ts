import { OPENAI_MANNER } from '../openai-wire/assemble.ts';
import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { baseOf, bearer } from '../urls.ts';
import { probeOpenAiCompatible } from './probe.ts';

/** Any server that speaks OpenAI's wire; nothing beyond it is assumed. */
export const openAiCompatible: WireVendor = {
  kind: 'openai-compatible',
  defaultSlots: 4,
  finishesPrompt: false,
  loadsOnDemand: false,
  modelsInMemory: null,
  rules: { maxTokensOnly: false, continuation: 'no', refuses: [] },
  whole: OPENAI_MANNER,
  chatUrl: (target) => `${baseOf(target)}/chat/completions`,
  headers: bearer,
  probe: probeOpenAiCompatible,
};
