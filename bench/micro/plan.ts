import { NO_PROMPT } from '../../src/core/prompt.ts';
import { type PlanOptions, planRoute } from '../../src/router/plan.ts';
import { localFirst } from '../../src/router/strategies/local-first.ts';
import type { TargetEntry } from '../../src/router/targets.ts';
import { entryOf } from '../../test/support/fleet.ts';
import { keep, type MicroResult, timePerRunNs } from './harness.ts';

const OPTIONS: PlanOptions = {
  strategy: localFirst,
  maxAttempts: 4,
  aliases: new Map(),
  defaultModel: null,
  standIn: 'always',
  maxFirstTokenMs: null,
  spilling: new Set(),
};
const FENCE = { place: null, strictModel: false, route: null, maxFirstTokenMs: null };

/** Four local nodes of five, each with ten models, and a cloud provider with a hundred. */
function fleet(size: number): TargetEntry[] {
  return Array.from({ length: size }, (_, at) => {
    const cloud = at % 5 === 4;
    const models = Array.from({ length: cloud ? 100 : 10 }, (_, model) => `vendor/model-${model}`);
    return entryOf({ id: `target-${at}`, kind: cloud ? 'openrouter' : 'lm-studio', models });
  });
}

/** What one plan costs. */
export function planBenchmarks(): MicroResult[] {
  return [5, 100].flatMap((size) => {
    const entries = fleet(size);
    const time = (name: string, requestedModel: string): MicroResult => ({
      name: `planRoute, ${size} targets, ${name}`,
      rounds: timePerRunNs(() =>
        keep(planRoute({ operation: 'chat', requestedModel, fence: FENCE, prompt: NO_PROMPT }, entries, OPTIONS, 0)),
      ),
    });
    return [time('a model that all have', 'model-3'), time('a name that none has (stand-in)', 'gpt-unknown')];
  });
}
