import { createHash } from 'node:crypto';
import { type JsonObject, listOf, objectOf, textOf } from '../../core/json-shape.ts';
import type { Target } from '../../core/target.ts';
import { modelNameOf } from '../listing.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { askOptional, mayAsk } from '../optional-path.ts';
import { probePost } from '../probe-http.ts';
import { bearer, rootOf } from '../urls.ts';

/** A probe must stay a small question: the rest is asked by the next ones. */
const MOST_ASKED = 4;
/** More servers than anybody has: addresses that are no longer configured are forgotten. */
const MOST_SERVERS = 1_000;
/** What of a model's capabilities is looked at. */
const WORDS = ['completion', 'embedding', 'vision', 'tools', 'thinking'] as const;
type Word = (typeof WORDS)[number];

/** What was shown of the models that a server listed last, by `keyOf`. */
type Shown = ReadonlyMap<string, readonly Word[]>;

/** By the gateway's own tools, by address. */
const remembered = new WeakMap<WireTools, Map<string, Shown>>();

/**
 * The items of `/api/tags` with what each model can do. Older versions list no capabilities there: `/api/show` tells
 * them, without loading the model. How much context it would get is not taken from there: that is the model's maximum,
 * and Ollama loads it with less.
 */
export async function withCapabilities(
  items: readonly JsonObject[],
  target: Target,
  signal: AbortSignal,
  tools: WireTools,
): Promise<readonly JsonObject[]> {
  const servers = remembered.get(tools) ?? new Map<string, Shown>();
  remembered.set(tools, servers);
  const before = servers.get(target.baseUrl);
  const known = new Map<string, readonly Word[]>();
  let asked = 0;
  const all: JsonObject[] = [];
  for (const item of items) {
    const name = nameOf(item);
    if (name === null || listOf(item['capabilities']).length > 0) {
      all.push(item);
      continue;
    }
    const key = keyOf(name, item);
    let words = before?.get(key) ?? null;
    if (words === null && asked < MOST_ASKED && mayAsk(tools, target, pathOf(key))) {
      asked++;
      words = await show(name, key, target, signal, tools);
    }
    if (words !== null) known.set(key, words);
    all.push({ ...item, capabilities: words ?? [] });
  }
  remember(servers, target.baseUrl, known);
  return all;
}

/** Only what is listed now: a server that lists other models each time fills no memory. */
function remember(servers: Map<string, Shown>, baseUrl: string, known: Shown): void {
  servers.delete(baseUrl);
  if (known.size === 0) return;
  servers.set(baseUrl, known);
  for (const oldest of servers.keys()) {
    if (servers.size <= MOST_SERVERS) break;
    servers.delete(oldest);
  }
}

async function show(
  name: string,
  key: string,
  target: Target,
  signal: AbortSignal,
  tools: WireTools,
): Promise<readonly Word[] | null> {
  const reply = await askOptional(tools, target, pathOf(key), signal, (_, until) =>
    probePost(tools, target, `${rootOf(target)}/api/show`, { model: name }, bearer(target), until),
  );
  return reply === null ? null : wordsOf(reply.json);
}

/** What a reply to `/api/show` says that is looked at. Nothing of the reply itself is kept: it may be long. */
export function wordsOf(reply: unknown): readonly Word[] {
  const listed = new Set(listOf(objectOf(reply)['capabilities']));
  return WORDS.filter((word) => listed.has(word));
}

/** A model's name and what it holds: another digest may be another model. Short, however long the server's own are. */
function keyOf(name: string, item: JsonObject): string {
  return createHash('sha256')
    .update(`${name}\n${textOf(item['digest']) ?? ''}`)
    .digest('base64url');
}

/** Each model's answer is missing for itself. */
function pathOf(key: string): string {
  return `/api/show ${key}`;
}

function nameOf(item: JsonObject): string | null {
  return modelNameOf(item['model']) ?? modelNameOf(item['name']);
}
