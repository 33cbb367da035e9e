import type { Place, Target } from '../core/target.ts';
import type { Values } from './schema.ts';

/** Something to set next. */
export interface Hint {
  readonly text: string;
  /** It is of no use while there is a target at this place: one may have been given at run time. Null: it always is. */
  readonly unless: Place | null;
}

/** What a person may want to set next, the most useful first. */
export function hintsFor(values: Values, targets: readonly Target[]): Hint[] {
  const hints: Hint[] = [];
  const add = (text: string, unless: Place | null = null): void => void hints.push({ text, unless });
  if (!targets.some((target) => target.place === 'cloud')) {
    add(
      'set OPENROUTER_API_KEY, or AZURE_ENDPOINT and AZURE_API_KEY, to overflow to the cloud when the local servers are down or full.',
      'cloud',
    );
  }
  if (values.azureEndpoint !== null && values.azureApiKey === null && values.azureEnabled !== false) {
    add('set AZURE_API_KEY: AZURE_ENDPOINT is set without it, so Azure is off.');
  }
  if (!targets.some((target) => target.place === 'local')) {
    add('set LMSTUDIO_URL (or OLLAMA_URL, LLAMACPP_URL, VLLM_URL, SGLANG_URL) to use your own machines.', 'local');
  } else if (targets.every((target) => target.place === 'cloud' || target.optional)) {
    add(
      'set LMSTUDIO_URL to use other machines too; several URLs are separated by commas. Now only this one is looked at.',
    );
  }
  if (targets.some((target) => target.adapterKind === 'openrouter' && target.defaultModel === null)) {
    add('set OPENROUTER_DEFAULT_MODEL to let OpenRouter answer for model names that only your local servers know.');
  }
  return hints;
}
