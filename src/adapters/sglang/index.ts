import { OPENAI_MANNER } from '../openai-wire/assemble.ts';
import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { bearer, rootOf } from '../urls.ts';
import { probeSglang } from './probe.ts';

/** SGLang batches without fixed slots, as vLLM does, and knows its `continue_final_message` (sgl-project/sglang#4226). */
export const sglang: WireVendor = {
  kind: 'sglang',
  defaultSlots: 4,
  finishesPrompt: false,
  loadsOnDemand: false,
  modelsInMemory: null,
  rules: { maxTokensOnly: false, continuation: 'flags', refuses: [] },
  whole: OPENAI_MANNER,
  chatUrl: (target) => `${rootOf(target)}/v1/chat/completions`,
  headers: bearer,
  probe: probeSglang,
};
