/**
 * The yardsticks: the least that Bun.serve and fetch can do for the same work, one mode a process.
 * Usage: `bun bench/bare.ts whole|assembling|looked-at|untouched <upstream URL>`; prints its port.
 *
 * None of them checks, routes, times out, fails over, logs or counts: what the gateway costs beyond is the price of that.
 */

export const BARE_MODES = ['whole', 'assembling', 'looked-at', 'untouched'] as const;
export type BareMode = (typeof BARE_MODES)[number];

interface ChunkJson {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly choices: readonly { readonly delta: { readonly content?: string }; readonly finish_reason: string | null }[];
  readonly usage?: object;
}

const HEADERS = { 'content-type': 'application/json' };

/** Both bodies are parsed, and handed on as they are: parsing alone, not writing again, is the yardstick. */
async function whole(request: Request, url: string): Promise<Response> {
  const body = await request.text();
  JSON.parse(body);
  const reply = await fetch(url, { method: 'POST', headers: HEADERS, body, signal: request.signal });
  const text = await reply.text();
  JSON.parse(text);
  return new Response(text, { status: reply.status, headers: HEADERS });
}

/** Asks for a stream and joins it to a whole reply, as the gateway does for local servers. */
async function assembling(request: Request, url: string): Promise<Response> {
  const body = (await request.json()) as object;
  const asked = JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } });
  const reply = await fetch(url, { method: 'POST', headers: HEADERS, body: asked, signal: request.signal });
  let content = '';
  let last: ChunkJson | null = null;
  let finishReason: string | null = null;
  let usage: object | undefined;
  for await (const chunk of events(reply)) {
    last = chunk;
    usage = chunk.usage ?? usage;
    const [choice] = chunk.choices;
    content += choice?.delta.content ?? '';
    finishReason = choice?.finish_reason ?? finishReason;
  }
  const message = { role: 'assistant', content };
  const { id, created, model } = last ?? { id: '', created: 0, model: '' };
  const choices = [{ index: 0, message, finish_reason: finishReason }];
  return Response.json({ id, object: 'chat.completion', created, model, choices, usage });
}

async function* events(reply: Response): AsyncGenerator<ChunkJson> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of reply.body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const data = text.slice('data: '.length, end);
      text = text.slice(end + 2);
      if (data !== '[DONE]') yield JSON.parse(data) as ChunkJson;
    }
  }
}

/** Each piece of the body is decoded, cut into events and parsed; then the same bytes go on. */
async function lookedAt(request: Request, url: string): Promise<Response> {
  const body = await request.text();
  JSON.parse(body);
  const reply = await fetch(url, { method: 'POST', headers: HEADERS, body, signal: request.signal });
  const reader = reply.body?.getReader();
  const decoder = new TextDecoder();
  let text = '';
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = await reader?.read();
        if (piece?.value === undefined) return controller.close();
        text += decoder.decode(piece.value, { stream: true });
        for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
          const data = text.slice('data: '.length, end);
          text = text.slice(end + 2);
          if (data !== '[DONE]') JSON.parse(data);
        }
        controller.enqueue(piece.value);
      },
      cancel: () => reader?.cancel(),
    },
    { highWaterMark: 0 },
  );
  return new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
}

/** fetch's body as it is: what a stream costs when nobody looks at it. */
async function untouched(request: Request, url: string): Promise<Response> {
  const body = await request.text();
  JSON.parse(body);
  const reply = await fetch(url, { method: 'POST', headers: HEADERS, body, signal: request.signal });
  return new Response(reply.body, { headers: { 'content-type': 'text/event-stream' } });
}

const HANDLERS: Record<BareMode, (request: Request, url: string) => Promise<Response>> = {
  whole,
  assembling,
  'looked-at': lookedAt,
  untouched,
};

if (import.meta.main) {
  const [mode, upstream] = process.argv.slice(2);
  const known = BARE_MODES.find((name) => name === mode);
  if (known === undefined || upstream === undefined) {
    console.error(`usage: bare.ts ${BARE_MODES.join('|')} <upstream URL>; got "${mode ?? ''}"`);
    process.exit(2);
  }
  const handle = HANDLERS[known];
  const url = `${upstream}/chat/completions`;
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 0,
    routes: {
      '/health': () => Response.json({ status: 'healthy' }),
      '/v1/chat/completions': { POST: (request) => handle(request, url) },
    },
    fetch: () => new Response(null, { status: 404 }),
  });
  console.log(server.port);
}
