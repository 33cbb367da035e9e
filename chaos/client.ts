import type { RequestPlan } from './schedule.ts';
import type { Observation } from './verdict.ts';

interface Delta {
  readonly content?: unknown;
  readonly tool_calls?: readonly { readonly function?: { readonly arguments?: unknown } }[];
}
interface Body {
  readonly error?: { readonly code?: unknown; readonly message?: unknown };
  readonly choices?: readonly { readonly delta?: Delta; readonly message?: Delta }[];
}

/** Sends one request, reads its reply as a client would, and leaves when its plan says so. Never rejects. */
export async function askGateway(url: string, plan: RequestPlan, hungAfterMs: number): Promise<Observation> {
  const startedAtMs = performance.now();
  const seen = {
    status: null as number | null,
    code: null as string | null,
    attempts: 0,
    text: '',
    done: false,
    broken: false,
  };
  const controller = new AbortController();
  let end: Observation['end'] = 'reply';
  let detail = '';
  const leave = (why: 'aborted' | 'hung'): void => {
    end = why;
    controller.abort();
  };
  const hangTimer = setTimeout(() => leave('hung'), hungAfterMs);
  const abort = plan.abort;
  const abortTimer = abort?.phase === 'waiting' ? setTimeout(() => leave('aborted'), abort.afterMs) : null;
  try {
    const reply = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(plan.place === null ? {} : { 'x-swarmrouter-place': plan.place }),
      },
      body: JSON.stringify(plan.body),
      signal: controller.signal,
    });
    seen.status = reply.status;
    seen.attempts = Number(reply.headers.get('x-swarmrouter-attempts') ?? 0);
    detail = `target ${reply.headers.get('x-swarmrouter-target')}, attempts ${reply.headers.get('x-swarmrouter-attempts')}`;
    if (reply.status === 200 && plan.stream) {
      let events = 0;
      for await (const data of eventsOf(reply)) {
        take(seen, data);
        if (abort?.phase === 'streaming' && ++events >= abort.afterChunks) leave('aborted');
      }
    } else {
      const body = (await reply.json()) as Body;
      seen.text = textOf(body.choices?.[0]?.message);
      if (body.error !== undefined) {
        seen.code = String(body.error.code);
        detail += `, ${seen.code}: ${String(body.error.message)}`;
      }
    }
  } catch (error) {
    if (end === 'reply') {
      end = 'thrown';
      detail += ` ${String(error)}`;
    }
  }
  clearTimeout(hangTimer);
  if (abortTimer !== null) clearTimeout(abortTimer);
  // A plan may ask for more events than there were.
  return { startedAtMs, endedAtMs: performance.now(), end, ...seen, detail };
}

function take(seen: { text: string; code: string | null; done: boolean; broken: boolean }, data: string): void {
  if (data === '[DONE]') {
    seen.done = true;
    return;
  }
  const chunk = JSON.parse(data) as Body;
  if (chunk.error !== undefined) {
    seen.broken = true;
    seen.code = String(chunk.error.code);
  }
  seen.text += textOf(chunk.choices?.[0]?.delta);
}

/** The text, or the arguments of the tool call. */
function textOf(delta: Delta | undefined): string {
  const content = typeof delta?.content === 'string' ? delta.content : '';
  const called = (delta?.tool_calls ?? []).map((call) => String(call.function?.arguments ?? '')).join('');
  return content + called;
}

async function* eventsOf(reply: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of reply.body as unknown as AsyncIterable<Uint8Array>) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part.startsWith('data: ')) yield part.slice(6);
  }
  if (rest !== '') throw new Error(`the stream ends with ${JSON.stringify(rest.slice(0, 80))}`);
}
