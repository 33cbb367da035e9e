import { createAdapters, createFingerprinter, type Fingerprint, strangerAt } from '../adapters/index.ts';
import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { AdapterKind, TargetSnapshot } from '../core/target.ts';
import type { Place } from './places.ts';
import { isReachable } from './reachable.ts';

const AT_ONCE = 64;
const CONNECT_MS = 400;
const PROBE_MS = 2_000;

/** A model server that was found. */
export interface FoundServer {
  /** What a target's `url` should be. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly kind: AdapterKind;
  readonly version: string | null;
  /** What it serves; null: it did not say, and `fault` says why. */
  readonly snapshot: TargetSnapshot | null;
  readonly fault: string | null;
  /** It serves nobody without a key. */
  readonly wantsKey: boolean;
}

export interface Progress {
  readonly done: number;
  readonly of: number;
  readonly found: number;
}

export interface ScanOptions {
  readonly clock: Clock;
  readonly onProgress?: (progress: Progress) => void;
}

/** The model servers at these places, in their order. Other gateways of our own are left out. Never rejects. */
export async function scan(places: readonly Place[], { clock, onProgress }: ScanOptions): Promise<FoundServer[]> {
  const look = examiner(clock);
  const found = new Map<number, FoundServer>();
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < places.length; index = next++) {
      const place = places[index] as Place;
      const server = await look(place);
      if (server !== null) found.set(index, server);
      onProgress?.({ done: ++done, of: places.length, found: found.size });
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, places.length) }, work));
  return [...found].sort(([a], [b]) => a - b).map(([, server]) => server);
}

/** Looks at one place, cheapest question first: most have nobody. */
function examiner(clock: Clock): (place: Place) => Promise<FoundServer | null> {
  const identify = createFingerprinter({ clock });
  const adapters = createAdapters({ clock });
  const never = new AbortController().signal;
  return async (place) => {
    if (!(await isReachable(place, CONNECT_MS, clock))) return null;
    const root = `http://${place.host.includes(':') ? `[${place.host}]` : place.host}:${place.port}`;
    const known = await identify(root, never);
    if (known === null || known.kind === 'swarmrouter') return null;
    const { kind } = known;
    const url = kind === 'openai-compatible' ? `${root}/v1` : root;
    const probing = adapters.get(kind)?.probe(strangerAt(kind, url, PROBE_MS), never);
    const outcome = await Promise.resolve(probing).then(snapshotOf, faultOf);
    return { ...place, url, kind, ...outcome, version: versionOf(known, outcome.snapshot) };
  };
}

type Outcome = Pick<FoundServer, 'snapshot' | 'fault' | 'wantsKey'>;

const snapshotOf = (snapshot: TargetSnapshot | undefined): Outcome => ({
  snapshot: snapshot ?? null,
  fault: null,
  wantsKey: false,
});

function faultOf(error: unknown): Outcome {
  const wantsKey = error instanceof UpstreamError && error.kind === 'badCredentials';
  return { snapshot: null, fault: error instanceof Error ? error.message : String(error), wantsKey };
}

const versionOf = (known: Fingerprint, snapshot: TargetSnapshot | null): string | null =>
  known.version ?? snapshot?.version ?? null;
