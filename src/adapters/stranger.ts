import type { AdapterKind, Target } from '../core/target.ts';

/** A server that nobody configured, as a target that can be asked who it is: without a key, with one limit for all. */
export function strangerAt(
  adapterKind: AdapterKind,
  baseUrl: string,
  limitMs: number,
  network: Target['network'] = 'any',
): Target {
  return {
    id: baseUrl,
    provider: baseUrl,
    adapterKind,
    place: 'local',
    baseUrl,
    apiKey: null,
    source: 'found',
    optional: true,
    network,
    maxConcurrent: null,
    clocks: {
      connectMs: limitMs,
      firstByteMs: limitMs,
      firstTokenMs: limitMs,
      idleMs: limitMs,
      warmupMs: limitMs,
      streamMs: limitMs,
      queueMs: null,
    },
    defaultModel: null,
    deployments: new Map(),
    apiVersion: null,
    assembleWholeReplies: false,
    continuesAnswers: null,
  };
}
