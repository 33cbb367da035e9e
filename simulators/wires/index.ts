import type { Wire } from '../server/exchange.ts';
import type { SimulatorKind } from '../types.ts';
import { azureOpenAiWire } from './azure-openai.ts';
import { llamaCppWire } from './llama-cpp.ts';
import { lmStudioWire } from './lm-studio.ts';
import { ollamaWire } from './ollama.ts';
import { openAiCompatibleWire } from './openai-compatible.ts';
import { openRouterWire } from './openrouter.ts';
import { sglangWire } from './sglang.ts';
import { vllmWire } from './vllm.ts';

export const WIRES: Readonly<Record<SimulatorKind, Wire>> = {
  'lm-studio': lmStudioWire,
  ollama: ollamaWire,
  'llama-cpp': llamaCppWire,
  vllm: vllmWire,
  sglang: sglangWire,
  openrouter: openRouterWire,
  'azure-openai': azureOpenAiWire,
  'openai-compatible': openAiCompatibleWire,
};
