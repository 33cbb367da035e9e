import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { bearer, rootOf } from '../urls.ts';
import { probeLlamaCpp } from './probe.ts';

/**
 * llama.cpp's own server, with one model or as a router of several. It goes on with an assistant's message that stands
 * last (ggml-org/llama.cpp#13174) unless it was started with --no-prefill-assistant; from May 2026 on it knows vLLM's
 * flags, which count for more than that (#23012, #23089). Older builds refuse it for models that reason (#15404).
 */
export const llamaCpp: WireVendor = {
  kind: 'llama-cpp',
  defaultSlots: 4,
  finishesPrompt: false,
  loadsOnDemand: true,
  modelsInMemory: 4,
  rules: { maxTokensOnly: true, continuation: 'flags', refuses: [] },
  whole: { silentContent: '', indexedToolCalls: false },
  chatUrl: (target) => `${rootOf(target)}/v1/chat/completions`,
  headers: bearer,
  probe: probeLlamaCpp,
};
