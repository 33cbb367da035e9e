import { OPENAI_MANNER } from '../openai-wire/assemble.ts';
import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { baseOf, bearer } from '../urls.ts';
import { probeOpenAiCompatible } from './probe.ts';

/** OpenAI's own models that reason refuse `max_tokens`, wherever they are served. */
const REASONING_MODEL = /(^|\/)(o\d|gpt-[5-9])/i;

/** Any server that speaks OpenAI's wire; nothing beyond it is assumed. */
export const openAiCompatible: WireVendor = {
  kind: 'openai-compatible',
  defaultSlots: 4,
  finishesPrompt: false,
  loadsOnDemand: false,
  modelsInMemory: null,
  rules: { maxTokensOnly: false, continuation: 'no', refuses: [] },
  whole: OPENAI_MANNER,
  tokenLimitField: ({ baseUrl }, model) =>
    new URL(baseUrl).hostname === 'api.openai.com' || REASONING_MODEL.test(model)
      ? 'max_completion_tokens'
      : 'max_tokens',
  chatUrl: (target) => `${baseOf(target)}/chat/completions`,
  headers: bearer,
  probe: probeOpenAiCompatible,
};
