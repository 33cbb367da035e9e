import type { AnsweredBy } from '../router/serve.ts';

/** A whole reply, or one that is streamed. */
export type AnswerForm = 'json' | 'events';

const FORM_HEADERS: Readonly<Record<AnswerForm, Readonly<Record<string, string>>>> = {
  json: { 'content-type': 'application/json' },
  events: {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    // Tells nginx not to collect the events.
    'x-accel-buffering': 'no',
  },
};

/** Headers but for what is each answer's own. Making them anew costs more than all other work on a reply. */
const known = new Map<string, Headers>();
const MAX_KNOWN = 256;

/** Who answered, and why. The headers are shared: give them to a `Response`, which copies them, before the next call. */
export function answerHeaders(by: AnsweredBy, requestId: string, form: AnswerForm): Headers {
  const headers = sharedHeaders(by, form);
  headers.set('x-request-id', requestId);
  headers.set('x-swarmrouter-reason', headerText(by.attempt.reason));
  return headers;
}

function sharedHeaders({ attempt, model, attempts }: AnsweredBy, form: AnswerForm): Headers {
  const { targetId, adapterKind, place, promptCut = false, answerLimit = 0, droppedFields = [] } = attempt;
  const dropped = droppedFields.join(',');
  const answered = model === '' ? attempt.model : model;
  const key = `${form} ${targetId} ${adapterKind} ${place} ${promptCut} ${answerLimit} ${dropped} ${attempts} ${answered}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  if (known.size >= MAX_KNOWN) known.clear();
  const headers = new Headers({
    ...FORM_HEADERS[form],
    'x-swarmrouter-target': targetId,
    'x-swarmrouter-provider': adapterKind,
    'x-swarmrouter-place': place,
    'x-swarmrouter-model': headerText(answered),
    'x-swarmrouter-attempts': String(attempts),
    ...(promptCut ? { 'x-swarmrouter-prompt-cut': 'true' } : {}),
    ...(answerLimit > 0 ? { 'x-swarmrouter-answer-limit': String(answerLimit) } : {}),
    ...(dropped === '' ? {} : { 'x-swarmrouter-dropped-fields': dropped }),
  });
  known.set(key, headers);
  return headers;
}

/** Texts that were found fit for a header: the same few come with every request. */
const fitForHeader = new Set<string>();
const MAX_KNOWN_TEXTS = 1_000;
/** Clients refuse replies with long headers (Node: 16 KB for all of them). */
const MAX_HEADER_TEXT = 256;

/** Model names come from clients and servers: only printable ASCII may stand in a header. */
function headerText(whole: string): string {
  if (fitForHeader.has(whole)) return whole;
  const text = whole.length > MAX_HEADER_TEXT ? `${whole.slice(0, MAX_HEADER_TEXT)}...` : whole;
  if (!/^[\x20-\x7e]*$/.test(text)) return text.replaceAll(/[^\x20-\x7e]/g, '?');
  if (fitForHeader.size < MAX_KNOWN_TEXTS && text === whole) fitForHeader.add(text);
  return text;
}
