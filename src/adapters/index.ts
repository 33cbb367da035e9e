import type { AdapterTools, ProviderAdapter } from '../core/adapter.ts';
import { Deadlines } from '../core/deadlines.ts';
import type { AdapterKind, ServerKind, Target } from '../core/target.ts';
import { azureOpenAi } from './azure-openai/index.ts';
import { type Fingerprint, fingerprint } from './fingerprint.ts';
import { createKindSeeker } from './kind-seeker.ts';
import { llamaCpp } from './llama-cpp/index.ts';
import { lmStudio } from './lm-studio/index.ts';
import { ollama } from './ollama/index.ts';
import { openAiCompatible } from './openai-compatible/index.ts';
import { createWireAdapter, type WireTools, type WireVendor } from './openai-wire/wire-adapter.ts';
import { openRouter } from './openrouter/index.ts';
import { sglang } from './sglang/index.ts';
import { Transport } from './transport.ts';
import { vllm } from './vllm/index.ts';

const VENDORS: readonly WireVendor[] = [
  lmStudio,
  ollama,
  llamaCpp,
  vllm,
  sglang,
  openRouter,
  azureOpenAi,
  openAiCompatible,
];

/** One adapter a kind, all over one transport. */
export function createAdapters(tools: AdapterTools): ReadonlyMap<AdapterKind, ProviderAdapter> {
  const wireTools = wireToolsOf(tools);
  return new Map(VENDORS.map((vendor) => [vendor.kind, createWireAdapter(vendor, wireTools)]));
}

/** The adapter of targets whose kind is not known yet; see `kind-seeker.ts`. */
export function createSeeker(
  tools: AdapterTools,
  onFound: (target: Target, kind: ServerKind) => void,
): ProviderAdapter {
  return createKindSeeker(wireToolsOf(tools), onFound);
}

export type { Fingerprint } from './fingerprint.ts';
export { strangerAt } from './stranger.ts';

/** Says which model server answers at a root; see `fingerprint`. */
export function createFingerprinter(
  tools: AdapterTools,
): (rootUrl: string, signal: AbortSignal) => Promise<Fingerprint | null> {
  const wireTools = wireToolsOf(tools);
  return (rootUrl, signal) => fingerprint(rootUrl, wireTools, signal);
}

const wireToolsOf = (tools: AdapterTools): WireTools => ({
  ...tools,
  transport: new Transport(tools.clock, tools),
  deadlines: new Deadlines(tools.clock),
});
