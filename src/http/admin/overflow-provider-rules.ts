import type { OverflowProvider } from '../../core/overflow-provider.ts';
import type { TargetSnapshot } from '../../core/target.ts';

/** The address that the caller gave and the network it must be in; null: the product's own default address. */
export function addressOf(
  provider: OverflowProvider,
): { readonly field: string; readonly url: string; readonly network: 'lan' | 'public' } | null {
  switch (provider.type) {
    case 'openrouter':
      return provider.baseUrl === null ? null : { field: 'base_url', url: provider.baseUrl, network: provider.network };
    case 'azure':
      return { field: 'endpoint', url: provider.endpoint, network: provider.network };
    case 'openai-compatible':
      return { field: 'base_url', url: provider.baseUrl, network: provider.network };
  }
}

/** What is allowed but probably not meant. `snapshot` null: the provider was not tried. */
export function warningsFor(provider: OverflowProvider, snapshot: TargetSnapshot | null): string[] {
  const warnings: string[] = [];
  const address = addressOf(provider);
  if (address?.network === 'public' && address.url.startsWith('http:')) {
    warnings.push(`${address.field} is plain http: the key and every prompt travel readable by others. Use https.`);
  }
  if (
    provider.type === 'azure' &&
    Object.keys(provider.deployments).length === 0 &&
    provider.defaultDeployment === null
  ) {
    warnings.push('No deployments and no default_deployment: only requests that name a deployment can be served.');
  }
  if (snapshot === null) {
    warnings.push('The provider was not tried. Send "verify": true to try it with a free call.');
    return warnings;
  }
  if (snapshot.models.length === 0 && snapshot.listsEverything)
    warnings.push('The provider answered, but lists no model.');
  const wanted = provider.type === 'azure' ? null : provider.defaultModel;
  if (wanted !== null && snapshot.listsEverything && !hasModel(snapshot, wanted)) {
    warnings.push(`default_model "${wanted}" is not among the models that the provider lists.`);
  }
  return warnings;
}

function hasModel(snapshot: TargetSnapshot, name: string): boolean {
  return snapshot.models.some((model) => model.id === name || model.alsoKnownAs.includes(name));
}
