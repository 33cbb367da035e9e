import type { ChatPlan, PlannedChoice } from './chat-plan.ts';
import type { JsonObject } from './chat-request.ts';

/** How one wire writes a chat reply; the whole form and the stream are made from the same answers. */
export interface ChatDialect {
  /** Where reasoning goes; null: the wire does not show it. */
  readonly reasoningField: 'reasoning_content' | 'reasoning' | null;
  /** Fields of every reply and chunk, beside id, object, created, model and choices. */
  envelope(model: string): JsonObject;
  /** Fields of a message that are not text, such as `refusal: null`; the stream's first delta carries them. */
  readonly messageExtras: JsonObject;
  /** Fields of every choice, whole or chunk, such as `logprobs: null`. */
  readonly choiceExtras: JsonObject;
  /** Fields of a choice that go with its finish reason. */
  finishExtras(choice: PlannedChoice): JsonObject;
  /** What the first delta says as `content`. */
  readonly openingContent: '' | null;
  /** `fragments`: a tool call's arguments come in pieces; `whole`: in one chunk (Ollama). */
  readonly toolCalls: 'fragments' | 'whole';
  readonly honoursChoiceCount: boolean;
  usage(plan: ChatPlan): JsonObject;
  readonly streamedUsage: 'when-asked' | 'always';
  /** `usage: null` in the chunks before the usage chunk, when it was asked for. */
  readonly nullUsageBefore: boolean;
  /** Fields of a whole reply beside its usage; a stream's last JSON chunk carries them. */
  closingExtras(plan: ChatPlan): JsonObject;
  /** Chunks before the first choice (Azure), and after the last finish (Azure's asynchronous filter). */
  openingChunks(): readonly JsonObject[];
  afterFinish(choice: PlannedChoice): readonly JsonObject[];
  /** Comments before the first chunk (OpenRouter). */
  readonly openingComments: readonly string[];
  /**
   * Does it go on with an assistant's message that stands last? `told`: when `continue_final_message` says so. Those
   * that know the flag know `echo` too.
   */
  readonly continuesLastMessage: 'always' | 'told' | 'never';
}

/** OpenAI's own wire; the others say where they differ. */
export const OPENAI_DIALECT: ChatDialect = {
  reasoningField: 'reasoning_content',
  envelope: () => ({ system_fingerprint: 'fp_simulated' }),
  messageExtras: { refusal: null },
  choiceExtras: { logprobs: null },
  finishExtras: () => ({}),
  openingContent: '',
  toolCalls: 'fragments',
  honoursChoiceCount: true,
  usage: (plan) => ({
    ...plainUsage(plan),
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: plan.reasoningTokens, audio_tokens: 0 },
  }),
  streamedUsage: 'when-asked',
  nullUsageBefore: true,
  closingExtras: () => ({}),
  openingChunks: () => [],
  afterFinish: () => [],
  openingComments: [],
  continuesLastMessage: 'never',
};

export function plainUsage(plan: ChatPlan): JsonObject {
  return {
    prompt_tokens: plan.promptTokens,
    completion_tokens: plan.completionTokens,
    total_tokens: plan.promptTokens + plan.completionTokens,
  };
}
