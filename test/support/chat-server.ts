/** A cloud that answers as a test says, where no simulator would: it charges more than it was told, reports nothing. */
export interface ChatServer {
  /** What a target of kind `openai-compatible` or `openrouter` is given. */
  readonly baseUrl: string;
  /** Bodies of the chat requests so far, as they came. */
  readonly asked: readonly string[];
  stop(): Promise<void>;
}

export interface ChatServerOptions {
  readonly models: readonly object[];
  /** The whole reply to a chat request; a text is sent as events. */
  readonly reply: (body: Readonly<Record<string, unknown>>) => object | string;
}

export async function startChatServer({ models, reply }: ChatServerOptions): Promise<ChatServer> {
  const asked: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      if (request.method !== 'POST') return Response.json({ object: 'list', data: models });
      const text = await request.text();
      asked.push(text);
      const answer = reply(JSON.parse(text));
      if (typeof answer !== 'string') return Response.json(answer);
      return new Response(answer, { headers: { 'content-type': 'text/event-stream' } });
    },
  });
  return {
    baseUrl: `http://127.0.0.1:${server.port}/v1`,
    asked,
    stop: async () => void (await server.stop(true)),
  };
}

/** A whole reply of this text; without a report of what was used unless one is given. */
export function wholeReply(content: string, usage?: object): object {
  const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }];
  return { id: 'x', object: 'chat.completion', created: 1, model: 'm', choices, ...(usage && { usage }) };
}

/** The same as events to `[DONE]`. */
export function streamedReply(content: string, usage?: object): string {
  const chunk = (more: object) => ({ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm', ...more });
  const of = (delta: object, finish: string | null) => [{ index: 0, delta, finish_reason: finish }];
  const chunks = [
    chunk({ choices: of({ role: 'assistant', content }, null) }),
    chunk({ choices: of({}, 'stop') }),
    ...(usage === undefined ? [] : [chunk({ choices: [], usage })]),
  ];
  return [...chunks.map((each) => JSON.stringify(each)), '[DONE]'].map((data) => `data: ${data}\n\n`).join('');
}
