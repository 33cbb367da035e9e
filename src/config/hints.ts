import type { Target } from '../core/target.ts';
import type { Values } from './schema.ts';

/** What a person may want to set next, the most useful first. */
export function hintsFor(values: Values, targets: readonly Target[]): string[] {
  const hints: string[] = [];
  if (!targets.some((target) => target.place === 'cloud')) {
    hints.push(
      'No cloud provider is set: when the local servers are down or full, requests wait or fail. Set OPENROUTER_API_KEY, or AZURE_ENDPOINT and AZURE_API_KEY, to overflow to the cloud.',
    );
  }
  if (values.azureEndpoint !== null && values.azureApiKey === null && values.azureEnabled !== false) {
    hints.push('AZURE_ENDPOINT is set but AZURE_API_KEY is not, so Azure is off.');
  }
  if (!targets.some((target) => target.place === 'local')) {
    hints.push(
      'No local server is set. Set LMSTUDIO_URL (or OLLAMA_URL, LLAMACPP_URL, VLLM_URL, SGLANG_URL) to use your own machines.',
    );
  } else if (targets.every((target) => target.place === 'cloud' || target.optional)) {
    hints.push(
      'Local servers are looked for on this machine only. Set LMSTUDIO_URL to use other machines; several URLs are separated by commas.',
    );
  }
  if (targets.some((target) => target.adapterKind === 'openrouter' && target.defaultModel === null)) {
    hints.push(
      'Set OPENROUTER_DEFAULT_MODEL to let OpenRouter answer for model names that only your local servers know.',
    );
  }
  return hints;
}
