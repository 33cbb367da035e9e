import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { bearer, rootOf } from '../urls.ts';
import { probeOllama } from './probe.ts';

/** Ollama runs one request at a time unless OLLAMA_NUM_PARALLEL says otherwise, which no endpoint tells. */
export const ollama: WireVendor = {
  kind: 'ollama',
  defaultSlots: 1,
  finishesPrompt: false,
  continuesAnswers: false,
  rules: { maxTokensOnly: true, continuesWhenTold: false, refuses: [] },
  whole: { silentContent: '', indexedToolCalls: true },
  chatUrl: (target) => `${rootOf(target)}/v1/chat/completions`,
  headers: bearer,
  probe: probeOllama,
};
