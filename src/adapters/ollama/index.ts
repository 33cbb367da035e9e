import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { bearer, rootOf } from '../urls.ts';
import { probeOllama } from './probe.ts';

/**
 * Ollama runs one request at a time unless OLLAMA_NUM_PARALLEL says otherwise, which no endpoint tells. It goes on with
 * an assistant's message that stands last (ollama/ollama#6778, `prefill` in its model/renderers).
 */
export const ollama: WireVendor = {
  kind: 'ollama',
  defaultSlots: 1,
  finishesPrompt: false,
  countsOnlyRead: true,
  loadsOnDemand: true,
  modelsInMemory: 3,
  rules: { maxTokensOnly: true, continuation: 'trailing-message', refuses: [] },
  whole: { silentContent: '', indexedToolCalls: true },
  chatUrl: (target) => `${rootOf(target)}/v1/chat/completions`,
  headers: bearer,
  probe: probeOllama,
};
