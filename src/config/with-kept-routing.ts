import type { Route } from '../core/route.ts';
import type { KeptAlias, KeptRoute, KeptRouting, RouteSettings } from '../core/routing.ts';
import type { Config } from './config.ts';

/** What the configuration says of where requests go. */
export type ConfiguredRouting = Pick<Config, 'modelAliases' | 'routes' | 'strategy' | 'streamRecovery'>;

export interface RoutingInForce {
  readonly aliases: ReadonlyMap<string, string>;
  readonly routes: ReadonlyMap<string, Route>;
}

/** Names of aliases are told apart without case, as those of models are. */
export const aliasKey = (name: string): string => name.toLowerCase();

/** Aliases and routes of the configuration, and over them those that were set at run time. Pure. */
export function withKeptRouting(configured: ConfiguredRouting, { aliases, routes }: KeptRouting): RoutingInForce {
  return {
    aliases: aliasesInForce(configured.modelAliases, aliases),
    routes: new Map([
      ...configured.routes,
      ...routes.map((route) => [route.name, routeOf(route, configured)] as const),
    ]),
  };
}

function aliasesInForce(configured: ReadonlyMap<string, string>, kept: readonly KeptAlias[]): Map<string, string> {
  const set = new Set(kept.map(({ name }) => aliasKey(name)));
  const others = [...configured].filter(([name]) => !set.has(aliasKey(name)));
  return new Map([...others, ...kept.map(({ name, target }) => [name, target] as const)]);
}

/** Where it says nothing, what is usual counts, as for a route of the YAML file. */
export function routeOf(
  { name, settings }: Pick<KeptRoute, 'name' | 'settings'>,
  { strategy, streamRecovery }: Pick<Config, 'strategy' | 'streamRecovery'>,
): Route {
  return {
    name,
    strategy: settings.strategy ?? strategy,
    streamRecovery: settings.streamRecovery ?? streamRecovery,
    maxFirstTokenMs: settings.maxFirstTokenMs,
  };
}

export const NOTHING_SET: RouteSettings = { strategy: null, streamRecovery: null, maxFirstTokenMs: null };
