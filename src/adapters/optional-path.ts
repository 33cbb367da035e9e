import { UpstreamError } from '../core/failure.ts';
import type { Target } from '../core/target.ts';
import type { WireTools } from './openai-wire/wire-adapter.ts';
import { isUnknownPath, type ProbeReply } from './probe-http.ts';

/** A server that did not have a path may be restarted with it. */
const ASK_AGAIN_MS = 5 * 60_000;
const MOST_REMEMBERED = 10_000;

/** By the gateway's own tools: which paths its targets lack, until when that is believed. */
const missing = new WeakMap<WireTools, Map<string, number>>();

/**
 * Asks for what not every server has (metrics, slots), and does not ask again for a while where it is not there: probes
 * come every few seconds. Null: not there, switched off, or not for this key. Rejects for other faults.
 */
export async function askOptional(
  tools: WireTools,
  target: Target,
  path: string,
  ask: (path: string) => Promise<ProbeReply>,
): Promise<ProbeReply | null> {
  const known = missing.get(tools) ?? new Map<string, number>();
  missing.set(tools, known);
  const key = `${target.id} ${target.baseUrl} ${path}`;
  if ((known.get(key) ?? 0) > tools.clock.nowMs()) return null;
  try {
    return await ask(path);
  } catch (error) {
    if (!isWithheld(error)) throw error;
    if (known.size >= MOST_REMEMBERED) known.clear();
    known.set(key, tools.clock.nowMs() + ASK_AGAIN_MS);
    return null;
  }
}

function isWithheld(error: unknown): boolean {
  return isUnknownPath(error) || (error instanceof UpstreamError && error.kind === 'rejected');
}
