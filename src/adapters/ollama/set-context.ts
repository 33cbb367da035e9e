import { countOf, type JsonObject, listOf, objectOf, textOf } from '../../core/json-shape.ts';
import type { Target } from '../../core/target.ts';
import { modelNameOf } from '../listing.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { askOptional, mayAsk } from '../optional-path.ts';
import { probePost } from '../probe-http.ts';
import { bearer, rootOf } from '../urls.ts';

/** A probe must stay a small question: the rest is asked by the next ones. */
const MOST_ASKED = 4;
/** Of one server; who has pulled more works with few of them. */
const MOST_MODELS = 64;
/** More servers than anybody has: what is forgotten is asked again. */
const MOST_SERVERS = 1_000;

/** What the files of the models set that a server listed last, by `keyOf`; null: nothing. */
type Known = ReadonlyMap<string, number | null>;

/** By the gateway's own tools, by address. */
const remembered = new WeakMap<WireTools, Map<string, Known>>();

/**
 * The context that a model's own file sets (`PARAMETER num_ctx`), in tokens, by model name. It is what the model is
 * loaded with for a request in OpenAI's form, which cannot ask for another; without it that is the server's default,
 * which nobody says before the model is in memory, and not what the model could hold at most. `/api/show` tells it and
 * loads nothing. Asked once for each model and digest, a few with each probe; not for models whose context is known, as
 * they are in memory, and not of versions whose lists lack capabilities: they are asked for those (capabilities.ts).
 * Never rejects.
 */
export async function setContexts(
  items: readonly JsonObject[],
  inMemory: ReadonlyMap<string, number | null>,
  target: Target,
  signal: AbortSignal,
  tools: WireTools,
): Promise<ReadonlyMap<string, number>> {
  const servers = remembered.get(tools) ?? new Map<string, Known>();
  remembered.set(tools, servers);
  const before = servers.get(target.baseUrl);
  const known = new Map<string, number | null>();
  const contexts = new Map<string, number>();
  let left = MOST_ASKED;
  for (const { name, digest } of items.flatMap(askable).slice(0, MOST_MODELS)) {
    const key = `${name} ${digest}`;
    let context = before?.get(key);
    const isWanted = context === undefined && (inMemory.get(name) ?? null) === null;
    if (isWanted && left > 0 && mayAsk(tools, target, questionOf(key))) {
      context = await ask(name, key, target, signal, tools);
      // One that gave no answer would keep the probe waiting with the others too.
      left = context === undefined ? 0 : left - 1;
    }
    if (context === undefined) continue;
    known.set(key, context);
    if (context !== null) contexts.set(name, context);
  }
  if (servers.size >= MOST_SERVERS) servers.clear();
  servers.set(target.baseUrl, known);
  return contexts;
}

interface Askable {
  readonly name: string;
  readonly digest: string;
}

/** One of this machine, which is known by what it holds: another digest may set another context. */
function askable(item: JsonObject): Askable[] {
  const name = modelNameOf(item['model']) ?? modelNameOf(item['name']);
  const digest = modelNameOf(item['digest']);
  const isRemote = textOf(item['remote_host']) !== null || textOf(item['remote_model']) !== null;
  if (name === null || digest === null || isRemote || listOf(item['capabilities']).length === 0) return [];
  return [{ name, digest }];
}

/** Undefined: no answer. */
async function ask(
  name: string,
  key: string,
  target: Target,
  signal: AbortSignal,
  tools: WireTools,
): Promise<number | null | undefined> {
  const reply = await askOptional(tools, target, questionOf(key), signal, (_, until) =>
    probePost(tools, target, `${rootOf(target)}/api/show`, { model: name }, bearer(target), until),
  );
  return reply === null ? undefined : contextSetBy(reply.json);
}

const questionOf = (key: string): string => `/api/show num_ctx ${key}`;

/** From a reply to `/api/show`: the line `num_ctx 8192` of `parameters`, but no more than the model can hold. Pure. */
export function contextSetBy(reply: unknown): number | null {
  const { parameters, model_info: info } = objectOf(reply);
  const line = /^num_ctx[ \t]+(\d{1,12})[ \t]*$/m.exec(textOf(parameters) ?? '');
  const set = line === null ? null : countOf(Number(line[1]), 1);
  if (set === null) return null;
  return Math.min(set, longestOf(objectOf(info)) ?? set);
}

/** `llama.context_length`: the name begins with the architecture. */
function longestOf(info: JsonObject): number | null {
  const architecture = textOf(info['general.architecture']);
  return architecture === null ? null : countOf(info[`${architecture}.context_length`], 1);
}
