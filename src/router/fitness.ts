import type { LeftOutKind } from '../core/plan.ts';
import type { PromptFacts } from '../core/prompt.ts';
import type { ModelMeter } from './learned/model-meter.ts';
import type { ModelMatch } from './models.ts';

/** Tokens are estimated from bytes: only a prompt that is longer by more than the estimate may err is surely too long. */
const SURELY = { known: 0.85, unknown: 0.5 } as const;

/** Source code has about so many; digits, of which odd prompts may consist, have fewer. */
const LEAST_BYTES_PER_TOKEN = 3;

export interface Unfit {
  readonly kind: LeftOutKind;
  readonly reason: string;
  /** Only seen, not stated: better asked than nobody. */
  readonly isGuess: boolean;
}

/** Why this model on this target cannot serve such a request; null: it can, or nobody knows better. Pure. */
export function whyUnfit(
  meter: ModelMeter,
  match: ModelMatch,
  prompt: PromptFacts,
  usualBytesPerToken: number,
  nowMs: number,
): Unfit | null {
  return whyIncapable(match, prompt) ?? whyTooLong(meter, match, prompt, usualBytesPerToken, nowMs);
}

function whyIncapable({ info, model }: ModelMatch, { needs }: PromptFacts): Unfit | null {
  if (info === null) return null;
  const { vision, tools, jsonSchema } = info.capabilities;
  if (needs.vision && vision === false) return incapable(`${model} cannot see images`);
  if (needs.tools && tools === false) return incapable(`${model} cannot call tools`);
  if (needs.jsonSchema && jsonSchema === false) return incapable(`${model} cannot keep to a JSON schema`);
  return null;
}

function incapable(reason: string): Unfit {
  return { kind: 'incapable', reason, isGuess: false };
}

function whyTooLong(
  meter: ModelMeter,
  { info, model }: ModelMatch,
  prompt: PromptFacts,
  usualBytesPerToken: number,
  nowMs: number,
): Unfit | null {
  const stated = info?.contextLength ?? null;
  const limit = contextLimit(meter.context.limitAt(nowMs), stated);
  if (limit === null || !isSurelyLonger(prompt, limit, meter.bytesPerToken, usualBytesPerToken)) return null;
  const tokens = meter.promptTokens(prompt, usualBytesPerToken);
  return {
    kind: 'too-long',
    reason: `the prompt of about ${tokens} tokens does not fit the ${limit} tokens of ${model}`,
    isGuess: limit !== stated,
  };
}

/** A prompt that is refused here is never seen to fit: what odd texts taught must not be enough for that. */
function isSurelyLonger(prompt: PromptFacts, limit: number, learned: number | null, usual: number): boolean {
  const bytesPerToken = Math.max(LEAST_BYTES_PER_TOKEN, learned ?? usual);
  const fittingBytes = (limit * bytesPerToken) / (learned === null ? SURELY.unknown : SURELY.known);
  return prompt.bytes > fittingBytes && prompt.isLongerThan(fittingBytes);
}

/** What was seen to happen counts before what the server says. */
function contextLimit(learned: number | null, stated: number | null): number | null {
  if (learned === null) return stated;
  return stated === null ? learned : Math.min(learned, stated);
}
