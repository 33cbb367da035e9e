import type { GivenProvider } from '../core/given-provider.ts';
import type { Target } from '../core/target.ts';
import type { Config } from './config.ts';
import { targetFromGivenProvider, type UsualTarget } from './targets.ts';
import { sameServerKey } from './urls.ts';

/** All targets: those of the configuration and those given at run time, which are the stronger. Pure. */
export function withGivenProviders(
  { targets, ...usual }: Pick<Config, 'targets'> & UsualTarget,
  providers: readonly GivenProvider[],
): Target[] {
  const given = providers.map((provider) => targetFromGivenProvider(provider, usual));
  const servers = new Set(given.map(({ baseUrl }) => sameServerKey(baseUrl)));
  // What was only looked for, and is given by now, would have its slots counted twice.
  const configured = targets.filter(
    ({ source, baseUrl }) => source !== 'found' || !servers.has(sameServerKey(baseUrl)),
  );
  // A Map keeps the place of a key whose value is replaced.
  return [...new Map([...configured, ...given].map((target) => [target.id, target])).values()];
}
