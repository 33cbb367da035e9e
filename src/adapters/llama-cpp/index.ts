import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { bearer, rootOf } from '../urls.ts';
import { probeLlamaCpp } from './probe.ts';

/** llama.cpp's own server, with one model or as a router of several. */
export const llamaCpp: WireVendor = {
  kind: 'llama-cpp',
  defaultSlots: 4,
  finishesPrompt: false,
  rules: { maxTokensOnly: true, refuses: [] },
  whole: { silentContent: '', indexedToolCalls: false },
  chatUrl: (target) => `${rootOf(target)}/v1/chat/completions`,
  headers: bearer,
  probe: probeLlamaCpp,
};
