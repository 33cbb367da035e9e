import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { bearer, rootOf } from '../urls.ts';
import { probeLlamaCpp } from './probe.ts';

/**
 * llama.cpp's own server, with one model or as a router of several. It goes on with an assistant's message that stands
 * last (ggml-org/llama.cpp#13174) unless it was started with --no-prefill-assistant.
 */
export const llamaCpp: WireVendor = {
  kind: 'llama-cpp',
  defaultSlots: 4,
  finishesPrompt: false,
  continuesAnswers: true,
  rules: { maxTokensOnly: true, continuesWhenTold: false, refuses: [] },
  whole: { silentContent: '', indexedToolCalls: false },
  chatUrl: (target) => `${rootOf(target)}/v1/chat/completions`,
  headers: bearer,
  probe: probeLlamaCpp,
};
