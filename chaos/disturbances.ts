import type { Fault, Simulator, SimulatorKind } from '../simulators/index.ts';
import { randomOf } from './schedule.ts';

/**
 * What may happen to a whole server for a while, beside the faults that single requests meet. `refuse`: its port is
 * closed, running answers finish · `loading`: it answers that it loads its model · `key-refused`: it refuses its
 * gateway's key once.
 */
export const DISTURBANCES = [
  'kill',
  'refuse',
  'silent',
  'broken',
  'lying-probes',
  'silent-probes',
  'loading',
  'key-refused',
] as const;
export type DisturbanceKind = (typeof DISTURBANCES)[number];

export interface DisturbedServer {
  readonly name: string;
  readonly kind: SimulatorKind;
  readonly place: 'local' | 'cloud';
}

export interface Disturbance {
  readonly kind: DisturbanceKind;
  readonly server: string;
  /** After the end of the last one. */
  readonly afterMs: number;
  readonly lastsMs: number;
}

const OFTEN = ['kill', 'kill', 'refuse', 'silent', 'broken', 'lying-probes', 'silent-probes', 'loading'] as const;
/** A refused key rests for a minute: more often, and the whole cloud would. */
const KEY_REFUSED_EVERY = 40;

/** The `index`-th disturbance of a run: a pure function. */
export function disturbanceAt(seed: number, index: number, servers: readonly DisturbedServer[]): Disturbance {
  const random = randomOf(seed, index, 'disturbance');
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  const kind = index % KEY_REFUSED_EVERY === KEY_REFUSED_EVERY / 4 ? 'key-refused' : (pick(OFTEN) ?? 'kill');
  const server = pick(servers.filter((candidate) => happensTo(kind, candidate)));
  return {
    kind: server === undefined ? 'kill' : kind,
    server: (server ?? servers[0])?.name ?? '',
    afterMs: 500 + random() * 2_000,
    lastsMs: 200 + random() * 1_500,
  };
}

function happensTo(kind: DisturbanceKind, { kind: wire, place }: DisturbedServer): boolean {
  if (kind === 'loading') return wire === 'llama-cpp';
  return kind !== 'key-refused' || place === 'cloud';
}

const STANDING: Partial<Record<DisturbanceKind, Fault>> = {
  refuse: { kind: 'refuse' },
  silent: { kind: 'hang', scope: 'all' },
  broken: { kind: 'status', status: 500, scope: 'all' },
  'lying-probes': { kind: 'html', scope: 'listing' },
  'silent-probes': { kind: 'hang', scope: 'listing' },
};

/** Lets it happen and resolves when it is over. */
export async function disturb(simulator: Simulator, { kind, lastsMs }: Disturbance): Promise<void> {
  if (kind === 'key-refused') return simulator.faultNext(1, { kind: 'status', status: 401 });
  if (kind === 'kill') await simulator.kill();
  if (kind === 'loading') simulator.setBehaviour({ loading: true });
  const fault = STANDING[kind];
  if (fault !== undefined) await simulator.setFault(fault);
  await Bun.sleep(lastsMs);
  if (kind === 'kill') await simulator.revive();
  if (kind === 'loading') simulator.setBehaviour({ loading: false });
  if (fault !== undefined) await simulator.setFault(null);
}
