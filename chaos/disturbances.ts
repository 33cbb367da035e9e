import type { Fault, Simulator, SimulatorKind } from '../simulators/index.ts';
import { told } from './faults.ts';
import { randomOf } from './schedule.ts';

/**
 * What may happen to a whole server for a while, beside the faults that single requests meet. `refuse`: its port is
 * closed, running answers finish · `loading`: it answers that it loads its model · `key-refused`,
 * `model-missing`: it says so once, to whoever comes next.
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
  'model-missing',
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
/** What a server says once rests for a minute, or until the next probe: more often, and the whole cloud would. */
const SAID_EVERY = 20;

/** The `index`-th disturbance of a run: a pure function. */
export function disturbanceAt(seed: number, index: number, servers: readonly DisturbedServer[]): Disturbance {
  const random = randomOf(seed, index, 'disturbance');
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  const kind = saidOnce(index) ?? pick(OFTEN) ?? 'kill';
  const server = pick(servers.filter((candidate) => happensTo(kind, candidate)));
  return {
    kind: server === undefined ? 'kill' : kind,
    server: (server ?? servers[0])?.name ?? '',
    afterMs: 500 + random() * 2_000,
    lastsMs: 200 + random() * 1_500,
  };
}

function saidOnce(index: number): DisturbanceKind | null {
  if (index % SAID_EVERY !== 4) return null;
  return Math.floor(index / SAID_EVERY) % 2 === 0 ? 'model-missing' : 'key-refused';
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

/** Whoever is told so notes it itself; see `askedRestMs`. */
const SAID: Partial<Record<DisturbanceKind, Fault>> = {
  'key-refused': { kind: 'status', status: 401 },
  'model-missing': told(404, 'model_not_found'),
};

/** It leaves the server where it is; only the request that it meets is told something. */
export const isSaid = (kind: DisturbanceKind): boolean => SAID[kind] !== undefined;

/** Lets it happen and resolves when it is over. */
export async function disturb(simulator: Simulator, { kind, lastsMs }: Disturbance): Promise<void> {
  const said = SAID[kind];
  if (said !== undefined) return simulator.faultNext(1, said);
  if (kind === 'kill') await simulator.kill();
  if (kind === 'loading') simulator.setBehaviour({ loading: true });
  const fault = STANDING[kind];
  if (fault !== undefined) await simulator.setFault(fault);
  await Bun.sleep(lastsMs);
  if (kind === 'kill') await simulator.revive();
  if (kind === 'loading') simulator.setBehaviour({ loading: false });
  if (fault !== undefined) await simulator.setFault(null);
}
