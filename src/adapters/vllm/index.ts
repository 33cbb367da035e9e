import { OPENAI_MANNER } from '../openai-wire/assemble.ts';
import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { bearer, rootOf } from '../urls.ts';
import { probeVllm } from './probe.ts';

/**
 * vLLM batches without fixed slots; the default keeps a single gateway from flooding one GPU. It goes on with the last
 * message when `continue_final_message` says so (its OpenAI-compatible server's extra parameters).
 */
export const vllm: WireVendor = {
  kind: 'vllm',
  defaultSlots: 4,
  finishesPrompt: false,
  loadsOnDemand: false,
  modelsInMemory: null,
  rules: { maxTokensOnly: false, continuation: 'flags', refuses: [] },
  whole: OPENAI_MANNER,
  chatUrl: (target) => `${rootOf(target)}/v1/chat/completions`,
  headers: bearer,
  probe: probeVllm,
};
