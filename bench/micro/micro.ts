import type { Figure } from '../result.ts';
import { type BenchContext, measurement } from '../scenarios/scenario.ts';
import { admissionBenchmarks } from './admission.ts';
import { idleConnectionBenchmarks } from './idle-connections.ts';
import { jsonPatchBenchmarks } from './json-patch.ts';
import { planBenchmarks } from './plan.ts';
import { priceBenchmarks } from './prices.ts';
import { speedBookBenchmarks } from './speed-book.ts';
import { sseParserBenchmarks } from './sse-parser.ts';

/** The pure parts of the hot path, each by itself and without a socket. */
export async function micro(context: Pick<BenchContext, 'progress'>): Promise<readonly Figure[]> {
  context.progress('planning, patching, parsing, counting, admitting');
  const results = [
    ...planBenchmarks(),
    ...speedBookBenchmarks(),
    ...jsonPatchBenchmarks(),
    ...sseParserBenchmarks(),
    ...idleConnectionBenchmarks(),
    ...priceBenchmarks(),
    ...admissionBenchmarks(),
  ];
  return [
    {
      id: 'micro',
      title: 'Parts of the hot path by themselves',
      unit: 'ns',
      settings: ['Wall time of one call, in this process, after a warm-up; seven rounds.'],
      measurements: results.map((result) => measurement(result.name, result.rounds)),
      judgements: [],
      comparisons: [],
    },
  ];
}
