/** An answer whose end its client has seen: from then on it must be on record. */
export interface SeenAnswer {
  readonly requestId: string;
  readonly target: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export interface Load {
  readonly url: string;
  /** Texts of client keys, used in turn. */
  readonly keys: readonly string[];
  readonly clients: number;
}

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

/** Clients that ask one request after the other until they are told to stop, or nobody answers any more. */
export class Clients {
  readonly seen: SeenAnswer[] = [];
  /** Requests that were sent, whatever became of them. */
  sent = 0;
  /** Those that a budget had no room for. */
  refused = 0;
  /** Those whose answer had no end: the kill came between. */
  cut = 0;
  #stopped = false;
  readonly #running: readonly Promise<void>[];

  /** @param round tells their requests from those of other rounds */
  constructor(load: Load, round: number | string) {
    this.#running = Array.from({ length: load.clients }, (_, client) => this.#run(load, `${round}-${client}`, client));
  }

  /** Resolves when the last one has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async #run({ url, keys }: Load, name: string, client: number): Promise<void> {
    for (let number = 0; !this.#stopped; number++) {
      const stream = (client + number) % 2 === 0;
      const requestId = `crash-${name}-${number}`;
      const key = keys[client % keys.length] ?? '';
      this.sent++;
      const answer = await ask(url, key, requestId, stream).catch(() => null);
      if (answer === 'refused') {
        this.refused++;
        await Bun.sleep(20);
      } else if (answer !== null) this.seen.push(answer);
      else {
        // It is being killed.
        this.cut++;
        await Bun.sleep(5);
      }
    }
  }
}

/** Null: it broke off, so nothing was promised. */
async function ask(
  url: string,
  key: string,
  requestId: string,
  stream: boolean,
): Promise<SeenAnswer | 'refused' | null> {
  const reply = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'x-request-id': requestId },
    body: JSON.stringify({
      model: 'sim-model',
      max_tokens: 40,
      messages: [{ role: 'user', content: `How are you, ${requestId}?` }],
      ...(stream && { stream, stream_options: { include_usage: true } }),
    }),
  });
  const text = await reply.text();
  if (reply.status === 429) return 'refused';
  const usage = reply.status === 200 ? (stream ? streamedUsage(text) : wholeUsage(text)) : null;
  if (usage === null) return null;
  const target = reply.headers.get('x-swarmrouter-target') ?? '';
  return { requestId, target, inputTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens };
}

function wholeUsage(text: string): Usage | null {
  try {
    return JSON.parse(text).usage ?? null;
  } catch {
    return null;
  }
}

/** Null: the end of the stream was not seen. */
function streamedUsage(text: string): Usage | null {
  if (!text.trimEnd().endsWith('data: [DONE]')) return null;
  for (const line of text.split('\n').reverse()) {
    if (!line.startsWith('data: {')) continue;
    const { usage } = JSON.parse(line.slice('data: '.length));
    if (usage) return usage;
  }
  return null;
}
