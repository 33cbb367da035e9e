import type OpenAI from 'openai';

/** How one call of a load ended, as its client saw it. */
export interface CallEnd {
  readonly streamed: boolean;
  /** Content had reached the client. */
  readonly begun: boolean;
  /** The reply came to its proper end: a finish reason was seen. */
  readonly answered: boolean;
  /** `x-swarmrouter-target`; null when no reply began. */
  readonly target: string | null;
  readonly error: unknown;
}

export interface LoadOptions {
  readonly calls: number;
  readonly concurrency: number;
  readonly maxTokens: number;
  /** Called when content of a streamed reply has reached the client, with the target that sends it. */
  readonly onContent?: (target: string | null, done: number) => void;
}

/** Runs calls through the client, every second one streamed, and tells how each ended. Never rejects. */
export async function runLoad(client: OpenAI, options: LoadOptions): Promise<CallEnd[]> {
  const ends: CallEnd[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < options.calls) {
      const number = next++;
      const call = number % 2 === 0 ? wholeCall : streamedCall;
      ends.push(await call(client, number, options, () => ends.length));
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  return ends;
}

function bodyOf(number: number, maxTokens: number) {
  const content = `Write about the number ${number}.`;
  return { model: 'auto', messages: [{ role: 'user' as const, content }], max_tokens: maxTokens, seed: number };
}

async function wholeCall(client: OpenAI, number: number, options: LoadOptions): Promise<CallEnd> {
  try {
    const { data, response } = await client.chat.completions.create(bodyOf(number, options.maxTokens)).withResponse();
    const answered = data.choices[0]?.finish_reason != null && data.choices[0].message.content !== '';
    return { streamed: false, begun: true, answered, target: targetOf(response), error: null };
  } catch (error) {
    return { streamed: false, begun: false, answered: false, target: null, error };
  }
}

async function streamedCall(
  client: OpenAI,
  number: number,
  options: LoadOptions,
  done: () => number,
): Promise<CallEnd> {
  let begun = false;
  let answered = false;
  let target: string | null = null;
  try {
    const { data, response } = await client.chat.completions
      .create({ ...bodyOf(number, options.maxTokens), stream: true })
      .withResponse();
    target = targetOf(response);
    for await (const chunk of data) {
      const choice = chunk.choices[0];
      if (choice?.delta.content) {
        begun = true;
        options.onContent?.(target, done());
      }
      if (choice?.finish_reason != null) answered = true;
    }
    return { streamed: true, begun, answered, target, error: null };
  } catch (error) {
    return { streamed: true, begun, answered, target, error };
  }
}

const targetOf = (response: Response): string | null => response.headers.get('x-swarmrouter-target');
