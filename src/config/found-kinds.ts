import { PROVIDER_NAMES, type ServerKind, type Target } from '../core/target.ts';

/** What servers turned out to be whose kind is `auto`, for as long as the gateway runs: a reload does not ask again. */
export class FoundKinds {
  readonly #kinds = new Map<string, ServerKind>();

  /** Keeps it, and gives the target as it is from now on. */
  found(target: Target, kind: ServerKind): Target {
    this.#kinds.set(keyOf(target), kind);
    return this.of(target);
  }

  /** The target with its kind, where that is known by now. */
  of(target: Target): Target {
    const kind = target.adapterKind === 'auto' ? this.#kinds.get(keyOf(target)) : undefined;
    // The kinds that are looked for share their form of address and their place.
    return kind === undefined ? target : { ...target, adapterKind: kind, provider: PROVIDER_NAMES[kind] ?? target.id };
  }
}

const keyOf = ({ id, baseUrl }: Target): string => `${id} ${baseUrl}`;
