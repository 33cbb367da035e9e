import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { generatedTraces } from './generate.ts';
import { parseTrace, traceNamed } from './read-trace.ts';
import type { Trace } from './trace.ts';

const CHECKOUT = join(import.meta.dir, '..', '..', '..');

const KNOWN = [
  {
    file: 'mooncake-conversation.jsonl',
    name: 'conversation',
    says: 'a production chat service, from kvcache-ai/Mooncake (Apache-2.0; Mooncake, FAST 2025)',
  },
  {
    file: 'azure-llm-2023-code.csv',
    name: 'code',
    says: 'a production code service, from Azure/AzurePublicDataset (CC-BY; Patel et al., Splitwise, ISCA 2024)',
  },
] as const;

/** The given files; else the two known ones in the traces' folder; else what the generator makes. Throws TraceError. */
export function findTraces(files: readonly string[], seed: number): Trace[] {
  if (files.length > 0) return files.map(readTrace);
  const folder = process.env['SWARMROUTER_TRACES'] ?? join(CHECKOUT, '..', 'shared', 'data');
  const found = KNOWN.filter(({ file }) => existsSync(join(folder, file)));
  return found.length === 0 ? generatedTraces(seed) : found.map(({ file }) => readTrace(join(folder, file)));
}

function readTrace(path: string): Trace {
  const known = KNOWN.find(({ file }) => file === basename(path));
  const requests = parseTrace(path, readFileSync(path, 'utf8'));
  return traceNamed(known?.name ?? basename(path), known?.says ?? 'given with --trace', requests);
}
