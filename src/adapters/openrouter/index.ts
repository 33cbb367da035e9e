import type { Target } from '../../core/target.ts';
import { OPENAI_MANNER } from '../openai-wire/assemble.ts';
import type { WireVendor } from '../openai-wire/wire-adapter.ts';
import { baseOf, bearer } from '../urls.ts';
import { probeOpenRouter } from './probe.ts';

/** OpenRouter names an app by its address; apps on localhost are told apart by their title. */
export function openRouterHeaders(target: Target): Record<string, string> {
  return { ...bearer(target), 'http-referer': 'http://localhost:8000', 'x-openrouter-title': 'SwarmRouter' };
}

export const openRouter: WireVendor = {
  kind: 'openrouter',
  defaultSlots: 4,
  finishesPrompt: false,
  continuesAnswers: false,
  rules: { maxTokensOnly: false, continuesWhenTold: false, refuses: [] },
  whole: OPENAI_MANNER,
  chatUrl: (target) => `${baseOf(target)}/chat/completions`,
  headers: openRouterHeaders,
  probe: (target, signal, tools) => probeOpenRouter(target, signal, tools, openRouterHeaders(target)),
};
