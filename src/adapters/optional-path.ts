import { UpstreamError } from '../core/failure.ts';
import type { Target } from '../core/target.ts';
import type { WireTools } from './openai-wire/wire-adapter.ts';
import { isUnknownPath, type ProbeReply } from './probe-http.ts';

/** A server that did not have a path may be restarted with it. */
const MISSING_MS = 5 * 60_000;
/** One that has it, but was too slow or broke, may just have been busy. */
const BROKEN_MS = 30_000;
/** What is nice to know must not make a server look slow, or down. */
const PATIENCE_MS = 1_000;
const MOST_REMEMBERED = 10_000;

/** By the gateway's own tools: which paths of its targets are not asked for, until when. */
const missing = new WeakMap<WireTools, Map<string, number>>();

/**
 * Asks for what not every server has (metrics, slots), and does not ask again for a while where it was not to be had:
 * probes come every few seconds. Null: not there, switched off, not for this key, or not in time. Never rejects.
 */
export async function askOptional(
  tools: WireTools,
  target: Target,
  path: string,
  signal: AbortSignal,
  ask: (path: string, signal: AbortSignal) => Promise<ProbeReply>,
): Promise<ProbeReply | null> {
  if (!mayAsk(tools, target, path)) return null;
  const known = missing.get(tools) ?? new Map<string, number>();
  missing.set(tools, known);
  const key = keyOf(target, path);
  const timeout = new AbortController();
  const cancelTimer = tools.clock.after(PATIENCE_MS, () => timeout.abort());
  try {
    return await ask(path, AbortSignal.any([signal, timeout.signal]));
  } catch (error) {
    // Whether the server is up is for the questions that every server answers.
    if (known.size >= MOST_REMEMBERED) known.clear();
    const restMs = isNotToBeHad(error) ? MISSING_MS : BROKEN_MS;
    if (!signal.aborted) known.set(key, tools.clock.nowMs() + restMs);
    return null;
  } finally {
    cancelTimer();
  }
}

/** False: it was not to be had a short while ago. */
export function mayAsk(tools: WireTools, target: Target, path: string): boolean {
  return (missing.get(tools)?.get(keyOf(target, path)) ?? 0) <= tools.clock.nowMs();
}

function keyOf(target: Target, path: string): string {
  return `${target.id} ${target.baseUrl} ${path}`;
}

/** There is no such path, or not for this key. */
function isNotToBeHad(error: unknown): boolean {
  return isUnknownPath(error) || (error instanceof UpstreamError && (error.status === 401 || error.status === 403));
}
