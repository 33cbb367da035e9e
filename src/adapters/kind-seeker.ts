import type { ProviderAdapter } from '../core/adapter.ts';
import { UpstreamError } from '../core/failure.ts';
import type { ServerKind, Target } from '../core/target.ts';
import { type Fingerprint, fingerprint } from './fingerprint.ts';
import type { WireTools } from './openai-wire/wire-adapter.ts';
import { rootOf } from './urls.ts';

/** Servers of one's own machines. Of others it is for a person to say what they are, and whether they are a cloud. */
const SOUGHT: ReadonlySet<Fingerprint['kind']> = new Set<ServerKind>([
  'lm-studio',
  'ollama',
  'llama-cpp',
  'vllm',
  'sglang',
]);

/** What answers but is none of those is not asked every second what it is: it hardly becomes another server. */
const LOOK_AGAIN_MS = 10_000;

const SEEN: Readonly<Partial<Record<Fingerprint['kind'], string>>> = {
  'openai-compatible':
    'it says no more of itself than that it is OpenAI-compatible: write that as its kind, and its place',
  swarmrouter: 'it is a SwarmRouter: write kind: openai-compatible if that is meant',
};

/**
 * What stands in for an adapter until it is known which one a target needs: its probes find that out and fail, so that
 * nothing is sent there. `onFound` is told once for each look that found it.
 */
export function createKindSeeker(
  tools: WireTools,
  onFound: (target: Target, kind: ServerKind) => void,
): ProviderAdapter {
  /** A look may take longer than a probe of a target that is down: the next probe joins it. */
  const looks = new Map<Target, Promise<Fingerprint | null>>();
  const strangers = new WeakMap<Target, { readonly found: Fingerprint; readonly lookAgainAtMs: number }>();

  const lookAt = async (target: Target): Promise<Fingerprint | null> => {
    const found = await fingerprint(rootOf(target), tools, undefined, target.network);
    looks.delete(target);
    if (found === null) return null;
    if (isSought(found.kind)) onFound(target, found.kind);
    else strangers.set(target, { found, lookAgainAtMs: tools.clock.nowMs() + LOOK_AGAIN_MS });
    return found;
  };
  const look = async (target: Target): Promise<Fingerprint | null> => {
    const stranger = strangers.get(target);
    if (stranger !== undefined && stranger.lookAgainAtMs > tools.clock.nowMs()) return stranger.found;
    const running = looks.get(target) ?? lookAt(target);
    looks.set(target, running);
    return running;
  };
  return {
    kind: 'auto',
    operations: new Set(),
    defaultSlots: 1,
    finishesPrompt: false,
    countsOnlyRead: false,
    loadsOnDemand: false,
    modelsInMemory: null,
    continuesAnswers: false,
    call: ({ target }) => Promise.reject(new UpstreamError('unreachable', notKnown(target, 'nothing is sent there'))),
    probe: async (target, signal) => {
      const found = await Promise.race([look(target), gaveUp(target, signal)]);
      const seen =
        found === null ? 'no model server that it could be answers there' : (SEEN[found.kind] ?? `it is ${found.kind}`);
      throw new UpstreamError('malformed', notKnown(target, seen));
    },
  };
}

function isSought(kind: Fingerprint['kind']): kind is ServerKind {
  return SOUGHT.has(kind);
}

function gaveUp(target: Target, signal: AbortSignal): Promise<never> {
  const late = () => new UpstreamError('malformed', notKnown(target, 'it is being looked at'));
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(late());
    else signal.addEventListener('abort', () => reject(late()), { once: true });
  });
}

const notKnown = ({ id }: Target, why: string): string => `the kind of ${id} is not known yet: ${why}`;
