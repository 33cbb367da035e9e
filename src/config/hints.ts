import type { Target } from '../core/target.ts';
import type { Values } from './schema.ts';

/** What a person may want to set next, the most useful first. */
export function hintsFor(values: Values, targets: readonly Target[]): string[] {
  const hints: string[] = [];
  if (!targets.some((target) => target.place === 'cloud')) {
    hints.push(
      'set OPENROUTER_API_KEY, or AZURE_ENDPOINT and AZURE_API_KEY, to overflow to the cloud when the local servers are down or full.',
    );
  }
  if (values.azureEndpoint !== null && values.azureApiKey === null && values.azureEnabled !== false) {
    hints.push('set AZURE_API_KEY: AZURE_ENDPOINT is set without it, so Azure is off.');
  }
  if (!targets.some((target) => target.place === 'local')) {
    hints.push('set LMSTUDIO_URL (or OLLAMA_URL, LLAMACPP_URL, VLLM_URL, SGLANG_URL) to use your own machines.');
  } else if (targets.every((target) => target.place === 'cloud' || target.optional)) {
    hints.push(
      'set LMSTUDIO_URL to use other machines too; several URLs are separated by commas. Now only this one is looked at.',
    );
  }
  if (targets.some((target) => target.adapterKind === 'openrouter' && target.defaultModel === null)) {
    hints.push(
      'set OPENROUTER_DEFAULT_MODEL to let OpenRouter answer for model names that only your local servers know.',
    );
  }
  return hints;
}
