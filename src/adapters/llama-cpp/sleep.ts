import { type JsonObject, textOf } from '../../core/json-shape.ts';

/** Which of the questions about its load a server takes without waking its model, or keeping it awake. */
export interface HarmlessQuestions {
  readonly metrics: boolean;
  readonly slots: boolean;
}

const NEITHER: HarmlessQuestions = { metrics: false, slots: false };

/**
 * The first build that is known to answer `/metrics` from memory while its model sleeps (ggml-org/llama.cpp#27376,
 * merged in August 2026). Builds that can sleep and are older take it for use of the model (#20227, #23096), as all take
 * `/slots`.
 */
const METRICS_LET_SLEEP_FROM_BUILD = 10_630;

/**
 * Goes by what `/props` says: `is_sleeping` stands there since the server can sleep (ggml-org/llama.cpp#18228, December
 * 2025), whether it was told to or not. Where nothing is said, as before a router of several models, nothing is asked.
 * Pure.
 */
export function harmlessQuestions(props: JsonObject): HarmlessQuestions {
  if (Object.keys(props).length === 0 || props['role'] === 'router') return NEITHER;
  const canSleep = 'is_sleeping' in props;
  if (!canSleep) return { metrics: true, slots: true };
  // Nothing runs in a model that is not there.
  if (props['is_sleeping'] === true) return NEITHER;
  return { metrics: buildOf(props) >= METRICS_LET_SLEEP_FROM_BUILD, slots: false };
}

/** `b10630-1a2b3c4` → 10630; 0 when it says something else. */
function buildOf(props: JsonObject): number {
  return Number(/^b(\d+)\b/.exec(textOf(props['build_info']) ?? '')?.[1] ?? 0);
}
