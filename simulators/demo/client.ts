/** One answer as any OpenAI client would see it; who gave it stands in the headers. */
export interface Answer {
  readonly question: string;
  readonly status: number;
  readonly target: string;
  readonly place: string;
  readonly model: string;
  readonly attempts: number;
  readonly reason: string;
  readonly text: string;
  readonly durationMs: number;
}

export async function ask(url: string, question: string, onText?: (text: string) => void): Promise<Answer> {
  const startedAtMs = performance.now();
  const stream = onText !== undefined;
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'gpt-4o', stream, messages: [{ role: 'user', content: question }] }),
  });
  const text = stream ? await readStream(response, onText) : await readWhole(response);
  const header = (name: string): string => response.headers.get(`x-swarmrouter-${name}`) ?? '-';
  return {
    question,
    status: response.status,
    target: header('target'),
    place: header('place'),
    model: header('model'),
    attempts: Number(response.headers.get('x-swarmrouter-attempts') ?? 0),
    reason: header('reason'),
    text,
    durationMs: performance.now() - startedAtMs,
  };
}

async function readWhole(response: Response): Promise<string> {
  const body = (await response.json()) as { choices?: { message: { content: string } }[]; error?: { message: string } };
  return body.choices?.[0]?.message.content ?? body.error?.message ?? '';
}

async function readStream(response: Response, onText: (text: string) => void): Promise<string> {
  let text = '';
  let rest = '';
  const decoder = new TextDecoder();
  for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
    const events = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      if (!event.startsWith('data: {')) continue;
      const chunk = JSON.parse(event.slice('data: '.length)) as { choices?: { delta?: { content?: string } }[] };
      const piece = chunk.choices?.[0]?.delta?.content ?? '';
      if (piece !== '') onText(piece);
      text += piece;
    }
  }
  return text;
}
