import type { OverflowProvider } from '../core/overflow-provider.ts';
import type { Target } from '../core/target.ts';
import type { Config } from './config.ts';
import { targetFromOverflowProvider } from './targets.ts';

/** All targets: those of the configuration and those given at run time, which are the stronger. Pure. */
export function withOverflowProviders(
  { targets, clocksFor }: Pick<Config, 'targets' | 'clocksFor'>,
  providers: readonly OverflowProvider[],
): Target[] {
  const given = providers.map((provider) => targetFromOverflowProvider(provider, clocksFor('cloud')));
  // A Map keeps the place of a key whose value is replaced, as the directory does at the start.
  return [...new Map([...targets, ...given].map((target) => [target.id, target])).values()];
}
