import { join } from 'node:path';
import type { OverflowProvider, OverflowProviderStore } from '../core/overflow-provider.ts';
import { parseProviders, serialiseProviders } from './overflow-provider-format.ts';
import { readPrivateFile, replacePrivateFile } from './private-file.ts';

/**
 * Overflow providers in `<dataDir>/overflow-providers.json`, readable by its owner alone: it holds API keys.
 * `load` rejects for a file that it cannot read in full and leaves it untouched: dropping a provider silently
 * would send requests elsewhere than the operator believes.
 */
export function overflowProviderFile(dataDir: string): OverflowProviderStore & { readonly path: string } {
  const path = join(dataDir, 'overflow-providers.json');
  return {
    path,
    async load(): Promise<readonly OverflowProvider[]> {
      const text = await readPrivateFile(path);
      if (text === null) return [];
      try {
        return parseProviders(text);
      } catch (error) {
        throw new Error(
          `The overflow provider file ${path} is damaged: ${error instanceof Error ? error.message : String(error)}. ` +
            'Nothing was changed. Repair the file, restore it from a backup, or move it away to start without the ' +
            'providers that were added through the admin API.',
        );
      }
    },
    save: (providers) => replacePrivateFile(path, serialiseProviders(providers)),
  };
}
