import { OPENAI_MANNER } from '../openai-wire/assemble.ts';
import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { bearer, rootOf } from '../urls.ts';
import { probeLmStudio } from './probe.ts';

/**
 * LM Studio 0.3.6 and later. Its own default of simultaneous predictions is four. When a client leaves while the prompt
 * is read, it finishes reading first (lmstudio-bug-tracker#1143). It goes on with an assistant's message that stands last;
 * 0.4.16 says the beginning once more (lmstudio-bug-tracker#2041), which router/text-join.ts takes off.
 */
export const lmStudio: WireVendor = {
  kind: 'lm-studio',
  defaultSlots: 4,
  finishesPrompt: true,
  loadsOnDemand: true,
  modelsInMemory: 1,
  rules: { maxTokensOnly: true, continuation: 'trailing-message', refuses: [] },
  whole: OPENAI_MANNER,
  chatUrl: (target) => `${rootOf(target)}/v1/chat/completions`,
  headers: bearer,
  probe: probeLmStudio,
};
