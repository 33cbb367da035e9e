import type { Clock } from '../core/clock.ts';
import { type AllowedNetwork, type ResolveHost, type VettedAddresses, vetAddress } from './address-guard.ts';

export interface HostTools {
  readonly clock: Clock;
  /** Does the gateway itself listen there? Default: nowhere. */
  readonly isOwnListener?: (address: string, port: number) => boolean;
  /** Default: the machine's name service. */
  readonly resolve?: ResolveHost;
}

/** Vetted names are trusted this long, so that a call does not wait for the name service each time. */
const VETTED_FOR_MS = 30_000;

interface Known {
  vetted: VettedAddresses;
  readonly atMs: number;
}

/** The origins whose addresses were vetted a moment ago, and by what to dial them. As many as targets were ever configured. */
export class VettedHosts {
  readonly #tools: HostTools;
  readonly #known = new Map<string, Known>();

  constructor(tools: HostTools) {
    this.#tools = tools;
  }

  /** What is known of it; null: it has to be vetted first. */
  known(origin: string, network: AllowedNetwork): VettedAddresses | null {
    const known = this.#known.get(keyOf(origin, network));
    return known === undefined || this.#tools.clock.nowMs() - known.atMs >= VETTED_FOR_MS ? null : known.vetted;
  }

  /** Rejects with an Error for people when the address may not be called. */
  async vet(url: string, origin: string, network: AllowedNetwork, resolveWithinMs: number): Promise<VettedAddresses> {
    const { clock, resolve, isOwnListener = () => false } = this.#tools;
    const vetted = await vetAddress(url, { network, isOwnListener, resolveWithinMs }, resolve);
    const key = keyOf(origin, network);
    const former = this.#known.get(key)?.vetted.addresses ?? [];
    const known = { vetted: { ...vetted, addresses: inFormerOrder(vetted.addresses, former) }, atMs: clock.nowMs() };
    this.#known.set(key, known);
    return known.vetted;
  }

  /** No connection to this address came to stand: the others are dialled before it. */
  demote(origin: string, network: AllowedNetwork, address: string): void {
    const known = this.#known.get(keyOf(origin, network));
    if (known === undefined || known.vetted.addresses[0] !== address) return;
    const [first = address, ...others] = known.vetted.addresses;
    known.vetted = { ...known.vetted, addresses: [...others, first] };
  }
}

/** What was demoted stays so, else a dead address would cost a call each time that the name is vetted anew. */
function inFormerOrder(addresses: readonly string[], former: readonly string[]): readonly string[] {
  const rank = (address: string): number => (former.includes(address) ? former.indexOf(address) : former.length);
  return [...addresses].sort((one, other) => rank(one) - rank(other));
}

const keyOf = (origin: string, network: AllowedNetwork): string =>
  network === 'any' ? origin : `${network} ${origin}`;
