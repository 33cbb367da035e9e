import type { AuditEvent, AuditOrigin } from './audit.ts';
import type { Reading } from './problem.ts';
import type { Route } from './route.ts';

/** What a route says of itself. Null: as the gateway's own setting says. */
export interface RouteSettings {
  /** Name of a strategy. */
  readonly strategy: string | null;
  readonly streamRecovery: boolean | null;
  /** ms, > 0. */
  readonly maxFirstTokenMs: number | null;
}

interface Kept {
  /** As it was written; told apart without case. */
  readonly name: string;
  /** One more with each change, from 1. */
  readonly revision: number;
  /** ms since the Unix epoch. */
  readonly updatedAtMs: number;
}

/** A name that clients may ask for, and the model that it stands for. */
export interface KeptAlias extends Kept {
  readonly target: string;
}

export interface KeptRoute extends Kept {
  readonly settings: RouteSettings;
}

/** What was set at run time of where requests go. */
export interface KeptRouting {
  readonly aliases: readonly KeptAlias[];
  readonly routes: readonly KeptRoute[];
}

/** Where that is kept. A change and what is on record of it are written both, or neither. */
export interface RoutingStore {
  all(): Promise<KeptRouting>;
  /** @param alias of the revision after the one that is there, which is 0 if none is. Rejects with RevisionConflict. */
  setAlias(alias: KeptAlias, event: AuditEvent): Promise<void>;
  /** Rejects with RevisionConflict. */
  removeAlias(alias: KeptAlias, event: AuditEvent): Promise<void>;
  /** Both as for an alias. */
  setRoute(route: KeptRoute, event: AuditEvent): Promise<void>;
  removeRoute(route: KeptRoute, event: AuditEvent): Promise<void>;
}

/** Where an alias or route in force comes from: the admin API, a place of settings, or the program itself. */
export type RoutingSource = 'admin' | 'command line' | 'environment' | '.env' | 'yaml' | 'built in';

/** What every alias and route in force has. */
export interface Listed {
  readonly name: string;
  readonly source: RoutingSource;
  /** Where the one of its name comes from that is in force again when this one is deleted; null: there is none. */
  readonly replaces: RoutingSource | null;
  /** 0: it was not set at run time. */
  readonly revision: number;
  /** ms since the Unix epoch; null: it was not set at run time. */
  readonly updatedAtMs: number | null;
}

export interface ListedAlias extends Listed {
  readonly target: string;
}

export interface ListedRoute extends Listed {
  /** As it was set; all null: it says nothing of its own. */
  readonly settings: RouteSettings;
  readonly inForce: Route;
}

/** What a change is refused with besides. */
export interface RoutingChange {
  /** The revision that must be there; 0: none; null: whichever. Another one rejects with RevisionConflict. */
  readonly revision: number | null;
  readonly origin: AuditOrigin;
}

export interface SetResult<Item> {
  readonly item: Item;
  /** False: one that was set at run time was there. */
  readonly isNew: boolean;
  /** What is allowed, but probably not meant. */
  readonly warnings: readonly string[];
}

/** Aliases and routes in force, and changing them while the gateway runs. A rejection means that nothing was changed. */
export interface RoutingDesk {
  aliases(): readonly ListedAlias[];
  routes(): readonly ListedRoute[];
  /** In force for the next request, and kept. @param body as it came */
  setAlias(name: string, body: unknown, change: RoutingChange): Promise<Reading<SetResult<ListedAlias>>>;
  setRoute(name: string, body: unknown, change: RoutingChange): Promise<Reading<SetResult<ListedRoute>>>;
  /** What it was; null: none of this name was set at run time. */
  removeAlias(name: string, change: RoutingChange): Promise<ListedAlias | null>;
  removeRoute(name: string, change: RoutingChange): Promise<ListedRoute | null>;
}
