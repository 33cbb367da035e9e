import { UpstreamError } from '../core/failure.ts';
import { countOf, isObject, listOf, objectOf, textOf } from '../core/json-shape.ts';
import type { ServerKind, Target } from '../core/target.ts';
import { AttemptWatch } from './attempt-watch.ts';
import { cancellationOf } from './cancellation-of.ts';
import type { WireTools } from './openai-wire/wire-adapter.ts';
import { strangerAt } from './stranger.ts';
import type { UpstreamBody } from './upstream-body.ts';

/** Which program answers at an address. */
export interface Fingerprint {
  readonly kind: ServerKind | 'swarmrouter';
  /** As it says it; null: it does not. */
  readonly version: string | null;
}

/** For one question, from its connection to the last byte of its answer. */
const QUESTION_MS = 2_000;
/** What tells a server apart is short. A list of models that is longer is cut here, and then tells nothing. */
const MAX_BYTES = 64 * 1024;

const PATHS = [
  '/',
  '/lmstudio-greeting',
  '/api/version',
  '/api/tags',
  '/props',
  '/get_model_info',
  '/version',
  '/v1/models',
] as const;
type Path = (typeof PATHS)[number];

interface Answer {
  /** The parsed body; undefined: no JSON, or no answer at all. */
  readonly json: unknown;
  readonly text: string;
}
const SILENCE: Answer = { json: undefined, text: '' };

type Answers = Readonly<Record<Path, Promise<Answer>>>;
type Recogniser = (answers: Answers) => Promise<Fingerprint | null>;

/**
 * Which model server answers at this root (`http://10.0.0.7:1234`)? Null: none that we know. What the JSON looks like
 * decides, never the status or the port: LM Studio answers paths that it does not know with 200. No key is sent, no
 * redirect is followed, no model is loaded. Never rejects, and takes at most two seconds.
 */
export async function fingerprint(
  rootUrl: string,
  tools: WireTools,
  signal: AbortSignal = new AbortController().signal,
  network: Target['network'] = 'any',
): Promise<Fingerprint | null> {
  const decided = new AbortController();
  const either = AbortSignal.any([signal, decided.signal]);
  // All at once: a server that leaves each question open costs two seconds, not two for each.
  const stranger = strangerAt('openai-compatible', rootUrl, QUESTION_MS, network);
  const asked = PATHS.map((path) => [path, ask(stranger, path, tools, either)] as const);
  const answers = Object.fromEntries(asked) as unknown as Answers;
  try {
    for (const recognise of RECOGNISERS) {
      const found = await recognise(answers);
      if (found !== null) return found;
    }
    return null;
  } finally {
    decided.abort();
  }
}

/** In this order: the first that knows the server decides. Several of them also serve what a later one looks for. */
const RECOGNISERS: readonly Recogniser[] = [
  async (answers) => {
    const root = await jsonOf(answers['/']);
    return root['service'] === 'SwarmRouter' ? { kind: 'swarmrouter', version: textOf(root['version']) } : null;
  },
  async (answers) =>
    (await jsonOf(answers['/lmstudio-greeting']))['lmstudio'] === true ? { kind: 'lm-studio', version: null } : null,
  async (answers) => {
    const version = textOf((await jsonOf(answers['/api/version']))['version']);
    if ((await answers['/']).text.trim() === 'Ollama is running') return { kind: 'ollama', version };
    // A proxy may serve another page at the root. The version alone is no proof: Open WebUI has one there too.
    const lists = Array.isArray((await jsonOf(answers['/api/tags']))['models']);
    return version !== null && lists ? { kind: 'ollama', version } : null;
  },
  async (answers) => {
    const [props, models] = await Promise.all([jsonOf(answers['/props']), answers['/v1/models']]);
    return looksLikeLlamaCpp(props) || isOwnedBy(models.json, 'llamacpp')
      ? { kind: 'llama-cpp', version: textOf(props['build_info']) }
      : null;
  },
  async (answers) => {
    const [reply, models] = await Promise.all([jsonOf(answers['/version']), answers['/v1/models']]);
    const version = textOf(reply['version']);
    // Started with a key, it keeps its list to itself and says no more than this.
    const wantsKey = objectOf(models.json)['error'] === 'Unauthorized';
    return isOwnedBy(models.json, 'vllm') || (version !== null && wantsKey) ? { kind: 'vllm', version } : null;
  },
  async (answers) => {
    const [info, models] = await Promise.all([jsonOf(answers['/get_model_info']), answers['/v1/models']]);
    const isSglang = textOf(info['model_path']) !== null || isOwnedBy(models.json, 'sglang');
    return isSglang ? { kind: 'sglang', version: null } : null;
  },
  async (answers) =>
    isModelList((await answers['/v1/models']).json) ? { kind: 'openai-compatible', version: null } : null,
];

const jsonOf = async (answer: Promise<Answer>) => objectOf((await answer).json);

function looksLikeLlamaCpp(props: Readonly<Record<string, unknown>>): boolean {
  if (countOf(props['total_slots']) !== null || isObject(props['default_generation_settings'])) return true;
  if (props['role'] === 'router') return true;
  // Its words on every path until its model is in memory, and on most without its key.
  const { message, type } = objectOf(props['error']);
  return message === 'Loading model' || (message === 'Invalid API Key' && type === 'authentication_error');
}

/** All of it: a gateway in front of several kinds of server hands on what each says of its own. */
function isOwnedBy(list: unknown, owner: string): boolean {
  const items = listOf(objectOf(list)['data']);
  return items.length > 0 && items.every((item) => objectOf(item)['owned_by'] === owner);
}

function isModelList(list: unknown): boolean {
  const { object, data } = objectOf(list);
  if (!Array.isArray(data)) return false;
  return data.length === 0 ? object === 'list' : data.every((item) => textOf(objectOf(item)['id']) !== null);
}

async function ask(target: Target, path: Path, tools: WireTools, signal: AbortSignal): Promise<Answer> {
  const watch = new AttemptWatch(tools.clock, tools.deadlines, cancellationOf(signal));
  watch.start('total', QUESTION_MS, watch.startedAtMs);
  try {
    const reply = await tools.transport.open(
      {
        target,
        method: 'GET',
        url: target.baseUrl + path,
        headers: { accept: 'application/json, text/plain', 'accept-encoding': 'identity', connection: 'close' },
        body: null,
      },
      watch,
    );
    // Nobody asked for packed bytes, and a few of them can hold a gigabyte.
    if (reply.headers.has('content-encoding')) return SILENCE;
    const text = await readAtMost(reply.body, MAX_BYTES);
    return { json: parsed(text), text };
  } catch {
    return SILENCE;
  } finally {
    // Also after a good answer: what is not read of it must not keep a connection.
    watch.abort(new UpstreamError('cancelled', 'the question is over'));
  }
}

/** Not `readAll`: that one takes up to a megabyte when the server states the length. */
async function readAtMost(body: UpstreamBody, maxBytes: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (let piece = await body.read(); piece !== null; piece = await body.read()) {
    length += piece.length;
    if (length > maxBytes) throw new UpstreamError('malformed', `it sent more than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return new TextDecoder().decode(Buffer.concat(pieces));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
