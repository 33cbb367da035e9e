import type { Target } from '../../core/target.ts';
import { OPENAI_MANNER } from '../openai-wire/assemble.ts';
import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { baseOf, bearer } from '../urls.ts';
import { probeOpenRouter } from './probe.ts';

/** OpenRouter names an app by its address; apps on localhost are told apart by their title. */
export function openRouterHeaders(target: Target): Record<string, string> {
  return { ...bearer(target), 'http-referer': 'http://localhost:8000', 'x-openrouter-title': 'SwarmRouter' };
}

/**
 * It goes on with an assistant's message that stands last only where the model behind it does: OpenAI's begin a new one,
 * Anthropic's newer ones refuse it. Nothing tells which model does what, so none is asked to.
 */
export const openRouter: WireVendor = {
  kind: 'openrouter',
  defaultSlots: 4,
  finishesPrompt: false,
  loadsOnDemand: false,
  modelsInMemory: null,
  rules: { maxTokensOnly: false, continuation: 'no', refuses: [], choosesProvider: true },
  whole: OPENAI_MANNER,
  chatUrl: (target) => `${baseOf(target)}/chat/completions`,
  headers: openRouterHeaders,
  probe: (target, signal, tools) => probeOpenRouter(target, signal, tools, openRouterHeaders(target)),
};
