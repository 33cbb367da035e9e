import type { LeftOutKind } from '../core/plan.ts';
import type { PromptFacts } from '../core/prompt.ts';
import type { ModelMeter } from './learned/model-meter.ts';
import type { ModelMatch } from './models.ts';

/** Tokens are estimated from bytes: only a prompt that is longer by more than the estimate may err is surely too long. */
const SURELY = { known: 0.85, unknown: 0.5 } as const;

export interface Unfit {
  readonly kind: LeftOutKind;
  readonly reason: string;
}

/** Why this model on this target cannot serve such a request; null: it can, or nobody knows better. Pure. */
export function whyUnfit(
  meter: ModelMeter,
  match: ModelMatch,
  prompt: PromptFacts,
  usualBytesPerToken: number,
): Unfit | null {
  return whyIncapable(match, prompt) ?? whyTooLong(meter, match, prompt, usualBytesPerToken);
}

function whyIncapable({ info, model }: ModelMatch, { needs }: PromptFacts): Unfit | null {
  if (info === null) return null;
  const { vision, tools, jsonSchema } = info.capabilities;
  if (needs.vision && vision === false) return { kind: 'incapable', reason: `${model} cannot see images` };
  if (needs.tools && tools === false) return { kind: 'incapable', reason: `${model} cannot call tools` };
  if (needs.jsonSchema && jsonSchema === false) {
    return { kind: 'incapable', reason: `${model} cannot keep to a JSON schema` };
  }
  return null;
}

function whyTooLong(
  meter: ModelMeter,
  { info, model }: ModelMatch,
  prompt: PromptFacts,
  usualBytesPerToken: number,
): Unfit | null {
  const limit = contextLimit(meter.contextLength, info?.contextLength ?? null);
  if (limit === null) return null;
  const tokens = meter.promptTokens(prompt, usualBytesPerToken);
  if (tokens * (meter.bytesPerToken === null ? SURELY.unknown : SURELY.known) <= limit) return null;
  return {
    kind: 'too-long',
    reason: `the prompt of about ${tokens} tokens does not fit the ${limit} tokens of ${model}`,
  };
}

/** What was seen to happen counts before what the server says. */
function contextLimit(learned: number | null, stated: number | null): number | null {
  if (learned === null) return stated;
  return stated === null ? learned : Math.min(learned, stated);
}
