import type { GivenProvider } from '../../core/given-provider.ts';
import type { Target, TargetSnapshot } from '../../core/target.ts';

/** How the caller's API calls the fields of a provider. */
export interface ProviderWords {
  readonly url: string;
  readonly defaultModel: string;
}

/** What is allowed but probably not meant. `snapshot` null: the provider was not tried. */
export function warningsFor(
  provider: GivenProvider,
  snapshot: TargetSnapshot | null,
  words: ProviderWords,
  sameServer: readonly Target[],
): string[] {
  const warnings: string[] = [];
  const isCloud = ['openrouter', 'azure-openai', 'openai-compatible'].includes(provider.kind);
  if (provider.network === 'public' && provider.url?.startsWith('http:') === true) {
    warnings.push(`${words.url} is plain http: the key and every prompt travel readable by others. Use https.`);
  }
  if (provider.apiKey === null && (provider.kind === 'openrouter' || provider.kind === 'azure-openai')) {
    warnings.push('There is no api_key: it will refuse every request.');
  }
  if (provider.kind === 'azure-openai' && Object.keys(provider.deployments).length === 0) {
    if (provider.defaultModel === null) {
      warnings.push(`No deployments and no ${words.defaultModel}: only requests that name a deployment can be served.`);
    }
  }
  if (sameServer.length > 0) {
    const names = sameServer.map(({ id }) => id).join(', ');
    warnings.push(`${names} leads to the same address: what runs there is counted for each apart.`);
  }
  if (snapshot === null) {
    warnings.push('The provider was not tried. Send "verify": true to try it with a free call.');
    return warnings;
  }
  if (snapshot.models.length === 0 && snapshot.listsEverything)
    warnings.push(isCloud ? 'The provider answered, but lists no model.' : 'It answered, but has no model yet.');
  const wanted = provider.kind === 'azure-openai' ? null : provider.defaultModel;
  if (wanted !== null && snapshot.listsEverything && !hasModel(snapshot, wanted)) {
    warnings.push(`${words.defaultModel} "${wanted}" is not among the models that the provider lists.`);
  }
  return warnings;
}

function hasModel(snapshot: TargetSnapshot, name: string): boolean {
  return snapshot.models.some((model) => model.id === name || model.alsoKnownAs.includes(name));
}
