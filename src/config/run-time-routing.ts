import { againOnConflict } from '../core/again-on-conflict.ts';
import type { AuditEvent, AuditOrigin } from '../core/audit.ts';
import { checkRevision } from '../core/key-store.ts';
import type { Logger } from '../core/logger.ts';
import type { Reading } from '../core/problem.ts';
import type {
  KeptAlias,
  KeptRoute,
  KeptRouting,
  ListedAlias,
  ListedRoute,
  RoutingChange,
  RoutingDesk,
  RoutingSource,
  RoutingStore,
  SetResult,
} from '../core/routing.ts';
import { STRATEGY_NAMES } from '../core/strategy-names.ts';
import { Turns } from '../core/turns.ts';
import type { Config } from './config.ts';
import { readAlias, readGivenRoute } from './given-routing.ts';
import { aliasKey, NOTHING_SET, type RoutingInForce, routeOf, withKeptRouting } from './with-kept-routing.ts';

export interface RunTimeRoutingParts {
  /** What is written now. */
  readonly configured: () => Config;
  /** Opened by the first change. */
  readonly store: () => Promise<RoutingStore>;
  readonly wallMs: () => number;
  readonly logger: Logger;
}

const NOTHING: KeptRouting = { aliases: [], routes: [] };

/** Aliases and routes in force: those of the configuration, and over them those set at run time, which are kept first. */
export class RunTimeRouting implements RoutingDesk {
  readonly #parts: RunTimeRoutingParts;
  readonly #turns = new Turns();
  #kept: KeptRouting = NOTHING;
  #inForce: { readonly of: Config; readonly kept: KeptRouting; readonly is: RoutingInForce } | null = null;
  #changed: () => void = () => undefined;

  constructor(parts: RunTimeRoutingParts) {
    this.#parts = parts;
  }

  /** Told whenever what is in force is another than before, unless the configuration is what changed. */
  onChange(listener: () => void): void {
    this.#changed = listener;
  }

  /** Under a configuration that is about to be in force, or under that which is. */
  under(config: Config = this.#parts.configured()): RoutingInForce {
    if (this.#inForce?.of !== config || this.#inForce.kept !== this.#kept) {
      this.#inForce = { of: config, kept: this.#kept, is: withKeptRouting(config, usable(this.#kept)) };
    }
    return this.#inForce.is;
  }

  /** Puts in force what is kept: at the start, and when another gateway changed it. */
  refresh(read: () => Promise<KeptRouting>): Promise<void> {
    // In turn, so that an older state is never put over a change that was made meanwhile.
    return this.#turns.run(async () => this.#replace(await read()));
  }

  aliases(): readonly ListedAlias[] {
    const { modelAliases, settings } = this.#parts.configured();
    const source = settings.find(({ name }) => name === 'SWARMROUTER_MODEL_ALIASES')?.source ?? 'default';
    const from: RoutingSource = source === 'default' ? 'yaml' : source;
    const kept = new Map(this.#kept.aliases.map((alias) => [aliasKey(alias.name), alias]));
    const configured = [...modelAliases].filter(([name]) => !kept.has(aliasKey(name)));
    const written = new Set([...modelAliases.keys()].map(aliasKey));
    return [
      ...configured.map(([name, target]) => ({ name, target, ...elsewhere(from) })),
      ...[...kept.values()].map(({ name, target, revision, updatedAtMs }) => ({
        ...({ name, target, source: 'admin', replaces: written.has(aliasKey(name)) ? from : null } as const),
        ...{ revision, updatedAtMs },
      })),
    ];
  }

  routes(): readonly ListedRoute[] {
    const config = this.#parts.configured();
    const inForce = this.under(config).routes;
    const kept = new Map(usable(this.#kept).routes.map((route) => [route.name, route]));
    const from = (name: string): RoutingSource => (isStrategy(name) ? 'built in' : 'yaml');
    return [...inForce].map(([name, route]) => {
      const set = kept.get(name);
      if (set === undefined) return { name, settings: NOTHING_SET, inForce: route, ...elsewhere(from(name)) };
      const replaces = config.routes.has(name) ? from(name) : null;
      const { settings, revision, updatedAtMs } = set;
      return { name, settings, inForce: route, source: 'admin', replaces, revision, updatedAtMs };
    });
  }

  async setAlias(name: string, body: unknown, change: RoutingChange): Promise<Reading<SetResult<ListedAlias>>> {
    const reading = readAlias(name, body);
    if (!reading.ok) return reading;
    return this.#change(change.revision, async (store) => {
      const before = this.#keptAlias(name);
      const alias = { name, target: reading.value, ...this.#next(before, change.revision) };
      const event = this.#aliasEvent('set', name, alias.target, change.origin);
      await store.setAlias(alias, event);
      this.#replace({ ...this.#kept, aliases: [...this.#kept.aliases.filter((one) => one !== before), alias] });
      const item = this.aliases().find((one) => aliasKey(one.name) === aliasKey(name)) as ListedAlias;
      return { ok: true, value: { item, isNew: before === null, warnings: this.#aliasWarnings(alias) } };
    });
  }

  async setRoute(name: string, body: unknown, change: RoutingChange): Promise<Reading<SetResult<ListedRoute>>> {
    const reading = readGivenRoute(name, body, STRATEGY_NAMES);
    if (!reading.ok) return reading;
    return this.#change(change.revision, async (store) => {
      const before = this.#keptRoute(name);
      const route = { name, settings: reading.value, ...this.#next(before, change.revision) };
      const inForce = routeOf(route, this.#parts.configured());
      await store.setRoute(route, this.#routeEvent('set', name, inForce, change.origin));
      this.#replace({ ...this.#kept, routes: [...this.#kept.routes.filter((one) => one !== before), route] });
      const item = this.routes().find((one) => one.name === name) as ListedRoute;
      return { ok: true, value: { item, isNew: before === null, warnings: [] } };
    });
  }

  removeAlias(name: string, { revision, origin }: RoutingChange): Promise<ListedAlias | null> {
    return this.#change(revision, async (store) => {
      const before = this.#keptAlias(name);
      if (before === null) return null;
      this.#next(before, revision);
      const shown = this.aliases().find((one) => aliasKey(one.name) === aliasKey(name)) ?? null;
      const after = [...this.#parts.configured().modelAliases].find(([other]) => aliasKey(other) === aliasKey(name));
      await store.removeAlias(before, this.#aliasEvent('remove', name, after?.[1] ?? null, origin));
      this.#replace({ ...this.#kept, aliases: this.#kept.aliases.filter((one) => one !== before) });
      return shown;
    });
  }

  removeRoute(name: string, { revision, origin }: RoutingChange): Promise<ListedRoute | null> {
    return this.#change(revision, async (store) => {
      const before = this.#keptRoute(name);
      if (before === null) return null;
      this.#next(before, revision);
      const shown = this.routes().find((one) => one.name === name) ?? null;
      const after = this.#parts.configured().routes.get(name) ?? null;
      await store.removeRoute(before, this.#routeEvent('remove', name, after, origin));
      this.#replace({ ...this.#kept, routes: this.#kept.routes.filter((one) => one !== before) });
      return shown;
    });
  }

  async #change<Result>(revision: number | null, work: (store: RoutingStore) => Promise<Result>): Promise<Result> {
    // Before it is anybody's turn: a store that is opened for it tells what it holds, which takes a turn, too.
    const store = await this.#parts.store();
    return againOnConflict(revision, () =>
      this.#turns.run(async () => {
        // Another gateway may have changed it a moment ago.
        this.#replace(await store.all());
        return work(store);
      }),
    );
  }

  #replace(kept: KeptRouting): void {
    const byName = (name: string): string => name;
    const next = { aliases: sorted(kept.aliases, aliasKey), routes: sorted(kept.routes, byName) };
    if (JSON.stringify(next) === JSON.stringify(this.#kept)) return;
    this.#kept = next;
    this.#saySoOfUnusable();
    this.#changed();
  }

  #saySoOfUnusable(): void {
    for (const { name, settings } of this.#kept.routes.filter((route) => !isUsable(route))) {
      this.#parts.logger.error({ route: name, strategy: settings.strategy }, 'a kept route cannot be used');
    }
  }

  #keptAlias(name: string): KeptAlias | null {
    return this.#kept.aliases.find((one) => aliasKey(one.name) === aliasKey(name)) ?? null;
  }

  #keptRoute(name: string): KeptRoute | null {
    return this.#kept.routes.find((one) => one.name === name) ?? null;
  }

  /** @throws RevisionConflict when another revision is there than `wanted`, which null takes whichever it is */
  #next(before: { readonly revision: number } | null, wanted: number | null) {
    const there = before?.revision ?? 0;
    checkRevision('It', wanted, there);
    return { revision: there + 1, updatedAtMs: this.#parts.wallMs() };
  }

  #aliasEvent(deed: 'set' | 'remove', name: string, after: string | null, origin: AuditOrigin): AuditEvent {
    const inForce = [...this.under().aliases].find(([other]) => aliasKey(other) === aliasKey(name));
    const shown = (target: string | null | undefined) => (target == null ? null : { target });
    return {
      ...({ origin, action: `alias.${deed}`, subject: `alias:${name}` } as const),
      ...{ before: shown(inForce?.[1]), after: shown(after) },
    };
  }

  #routeEvent(deed: 'set' | 'remove', name: string, after: object | null, origin: AuditOrigin): AuditEvent {
    const before = this.under().routes.get(name) ?? null;
    return { origin, action: `route.${deed}`, subject: `route:${name}`, before, after };
  }

  #aliasWarnings({ target }: KeptAlias): string[] {
    const isAlias = [...this.under().aliases.keys()].some((name) => aliasKey(name) === aliasKey(target));
    if (!isAlias) return [];
    return [`"${target}" is an alias, too. An alias is replaced once: what that one stands for is not asked for.`];
  }
}

const isStrategy = (name: string): boolean => (STRATEGY_NAMES as readonly string[]).includes(name);

/** One that another version kept may mean nothing to this one: it is left out, until it is set anew. */
const isUsable = ({ name, settings }: KeptRoute): boolean =>
  !isStrategy(name) && (settings.strategy === null || isStrategy(settings.strategy));

const usable = (kept: KeptRouting): KeptRouting => ({ ...kept, routes: kept.routes.filter(isUsable) });

const elsewhere = (source: RoutingSource) => ({ source, replaces: null, revision: 0, updatedAtMs: null });

function sorted<Kept extends { readonly name: string }>(
  kept: readonly Kept[],
  keyOf: (name: string) => string,
): Kept[] {
  return kept.toSorted((one, other) => (keyOf(one.name) < keyOf(other.name) ? -1 : 1));
}
