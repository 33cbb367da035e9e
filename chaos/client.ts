import type { Abort, RequestPlan } from './schedule.ts';
import type { Observation, ToldError } from './verdict.ts';

interface Delta {
  readonly content?: unknown;
  readonly tool_calls?: readonly { readonly function?: { readonly arguments?: unknown } }[];
}
/** A whole reply, a chunk of a stream, or an error. */
interface Body {
  readonly error?: ToldError;
  readonly usage?: unknown;
  readonly choices?: readonly { readonly delta?: Delta; readonly message?: Delta; readonly finish_reason?: unknown }[];
}

/** Sends one request, reads its reply as a client would, and leaves when its plan says so. Never rejects. */
export async function askGateway(url: string, plan: RequestPlan, hungAfterMs: number): Promise<Observation> {
  const visit = new Visit(plan.abort, hungAfterMs);
  try {
    const reply = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-request-id': `chaos-${plan.number}`,
        ...(plan.place === null ? {} : { 'x-swarmrouter-place': plan.place }),
      },
      body: JSON.stringify(plan.body),
      signal: visit.signal,
    });
    visit.begins(reply);
    if (reply.status === 200 && plan.stream) for await (const data of eventsOf(reply)) visit.event(data);
    else visit.whole(parsed(await reply.text()));
  } catch (error) {
    visit.broke(error);
  }
  return visit.end();
}

/** One request from the client's side: what it has seen so far, and when it leaves. */
class Visit {
  readonly #startedAtMs = performance.now();
  readonly #controller = new AbortController();
  readonly #abort: Abort | null;
  readonly #timers: readonly ReturnType<typeof setTimeout>[];
  #end: Observation['end'] = 'reply';
  #endedAtMs: number | null = null;
  #status: number | null = null;
  #headers = new Headers();
  #text = '';
  #finishReason: string | null = null;
  #hasUsage = false;
  #done = false;
  #error: ToldError | null = null;
  #events = 0;
  #broke = '';

  constructor(abort: Abort | null, hungAfterMs: number) {
    this.#abort = abort;
    this.#timers = [
      setTimeout(() => this.#leave('hung'), hungAfterMs),
      ...(abort?.phase === 'waiting' ? [setTimeout(() => this.#leave('aborted'), abort.afterMs)] : []),
    ];
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  begins({ status, headers }: Response): void {
    this.#status = status;
    this.#headers = headers;
  }

  event(data: string): void {
    if (data === '[DONE]') this.#done = true;
    else this.whole(parsed(data));
    if (this.#abort?.phase === 'streaming' && ++this.#events >= this.#abort.afterEvents) this.#leave('aborted');
  }

  whole({ error, usage, choices }: Body): void {
    const choice = choices?.[0];
    this.#text += textOf(choice?.delta ?? choice?.message);
    if (typeof choice?.finish_reason === 'string') this.#finishReason = choice.finish_reason;
    if (typeof usage === 'object' && usage !== null) this.#hasUsage = true;
    if (error !== undefined) this.#error = error;
  }

  /** No reply, an unreadable one, or one that broke off; or the client itself left. */
  broke(error: unknown): void {
    if (this.#end === 'reply') this.#end = 'thrown';
    this.#broke = String(error);
  }

  end(): Observation {
    for (const timer of this.#timers) clearTimeout(timer);
    return {
      startedAtMs: this.#startedAtMs,
      endedAtMs: this.#endedAtMs ?? performance.now(),
      end: this.#end,
      status: this.#status,
      target: this.#headers.get('x-swarmrouter-target'),
      attempts: Number(this.#headers.get('x-swarmrouter-attempts') ?? 0),
      shouldRetry: this.#headers.get('x-should-retry'),
      text: this.#text,
      finishReason: this.#finishReason,
      hasUsage: this.#hasUsage,
      done: this.#done,
      error: this.#error,
      detail: this.#end === 'thrown' ? this.#broke : '',
    };
  }

  #leave(why: 'aborted' | 'hung'): void {
    if (this.#end !== 'reply') return;
    this.#end = why;
    this.#endedAtMs = performance.now();
    this.#controller.abort();
  }
}

function parsed(text: string): Body {
  const body: unknown = JSON.parse(text);
  if (typeof body !== 'object' || body === null) throw new Error(`no JSON object: ${text.slice(0, 80)}`);
  return body;
}

/** The text, or the arguments of the tool call. */
function textOf(delta: Delta | undefined): string {
  const content = typeof delta?.content === 'string' ? delta.content : '';
  const called = (delta?.tool_calls ?? []).map((call) => String(call.function?.arguments ?? '')).join('');
  return content + called;
}

/** The data of each event of the gateway's own stream: single lines of data, ended by LF. */
async function* eventsOf(reply: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of reply.body ?? []) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part.startsWith('data: ')) yield part.slice('data: '.length);
  }
  if (rest !== '') throw new Error(`the stream ends with ${JSON.stringify(rest.slice(0, 80))}`);
}
