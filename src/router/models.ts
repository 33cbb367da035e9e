import { type ModelInfo, RESERVED_PROVIDERS } from '../core/target.ts';
import { bareName, modelIndex } from './model-index.ts';
import type { TargetEntry } from './target-entry.ts';

export type StandIn = 'always' | 'unknown' | 'never';

export interface ModelRules {
  /** asked → target model; a target model may be provider-qualified. */
  readonly aliases: ReadonlyMap<string, string>;
  readonly defaultModel: string | null;
  readonly standIn: StandIn;
}

/** What the client's model name means, before any target is looked at. */
export interface AskedModel {
  /** Empty: any ("auto"). */
  readonly name: string;
  /** A provider name or target id that the client pinned; null: none. */
  readonly pin: string | null;
}

export function readAskedModel(requested: string, rules: ModelRules, entries: Iterable<TargetEntry>): AskedModel {
  const aliased = rules.aliases.get(requested) ?? aliasInOtherCase(requested, rules.aliases) ?? requested;
  const meant = isAny(aliased) ? (rules.defaultModel ?? '') : aliased;
  const slash = meant.indexOf('/');
  if (slash > 0) {
    const prefix = meant.slice(0, slash).toLowerCase();
    // A known provider is a pin even when no such target is configured: the client asked for it, not for a guess.
    if (RESERVED_PROVIDERS.has(prefix) || isTarget(prefix, entries)) {
      const rest = meant.slice(slash + 1);
      return { name: isAny(rest) ? '' : rest, pin: prefix };
    }
  }
  return { name: isAny(meant) ? '' : meant, pin: null };
}

function isAny(name: string): boolean {
  return name === '' || (name.length === 4 && name.toLowerCase() === 'auto');
}

/** Model names are told apart without regard to case, everywhere. */
function aliasInOtherCase(requested: string, aliases: ReadonlyMap<string, string>): string | undefined {
  if (aliases.size === 0) return undefined;
  const wanted = requested.toLowerCase();
  for (const [name, target] of aliases) if (name.toLowerCase() === wanted) return target;
  return undefined;
}

function isTarget(prefix: string, entries: Iterable<TargetEntry>): boolean {
  for (const { target } of entries) if (target.id === prefix || target.provider === prefix) return true;
  return false;
}

export function isPinnedTo(entry: TargetEntry, pin: string | null): boolean {
  return pin === null || entry.target.id === pin || entry.target.provider === pin;
}

/** Does some target call by `model` what is asked for here? A name for any model is no model's. Pure. */
export function isNameOf({ name, pin }: AskedModel, model: string, entries: Iterable<TargetEntry>): boolean {
  if (name === '') return false;
  if (pin === null && name.toLowerCase() === model.toLowerCase()) return true;
  for (const entry of entries) {
    if (!isPinnedTo(entry, pin)) continue;
    const { target, snapshot } = entry;
    if (deploymentFor(target.deployments, name, true) === model) return true;
    if (snapshot !== null && modelIndex(snapshot).find(name)?.id === model) return true;
  }
  return false;
}

/** A model that a target would answer with. */
export interface ModelMatch {
  readonly model: string;
  readonly info: ModelInfo | null;
  readonly loaded: boolean;
  /**
   * `named`: the target has the name · `assumed`: it may have it, its list is incomplete · `stand-in`: another model
   * answers · `loading`: the server is up and loads its only model.
   */
  readonly how: 'named' | 'assumed' | 'stand-in' | 'loading';
  /** A few words for the reason header. */
  readonly words: string;
}

export type MatchResult = { readonly match: ModelMatch } | { readonly leftOut: string };

/** Does this local target have the name? Stand-ins are decided over all local targets, in plan.ts. */
export function matchLocal(entry: TargetEntry, asked: AskedModel): MatchResult {
  const { snapshot } = entry;
  if (snapshot === null) return { leftOut: 'not probed yet' };
  if (asked.name === '') return { leftOut: 'no model was named' };
  const info = modelIndex(snapshot).find(asked.name);
  if (info !== null) return named(info);
  if (!snapshot.listsEverything) return { match: assumed(asked.name) };
  return { leftOut: `does not have the model "${asked.name}"` };
}

/** Which models of this local target could answer in place of a name that no local target has: those in memory first. */
export function standIns(entry: TargetEntry, asked: AskedModel): { loaded: ModelMatch[]; toLoad: ModelMatch[] } {
  if (entry.snapshot === null) return { loaded: [], toLoad: [] };
  const index = modelIndex(entry.snapshot);
  const words = (info: ModelInfo): string =>
    asked.name === '' ? `${info.id} is ${STATE_WORDS[info.state]}` : `${info.id} stands in for ${asked.name}`;
  const toMatch = (info: ModelInfo): ModelMatch => ({
    model: info.id,
    info,
    loaded: info.state === 'loaded',
    how: asked.name === '' ? 'named' : 'stand-in',
    words: words(info),
  });
  return { loaded: index.loadedChat.map(toMatch), toLoad: index.otherChat.slice(0, 1).map(toMatch) };
}

const STATE_WORDS = { loaded: 'loaded', loading: 'loading', 'on-disk': 'on disk' } as const;

/** Which model would this cloud target answer with? `strict`: no stand-in, so its default model does not count. */
export function matchCloud(entry: TargetEntry, asked: AskedModel, strict: boolean): MatchResult {
  const { target, snapshot } = entry;
  if (asked.name === '') return matchAnyCloud(entry);
  const deployment = deploymentFor(target.deployments, asked.name, strict);
  if (deployment !== null)
    return { match: { ...assumed(deployment), how: 'named', words: `deployment ${deployment}` } };
  const info = snapshot === null ? null : modelIndex(snapshot).find(asked.name);
  if (info !== null) return named(info);
  if (target.defaultModel !== null && !strict) return { match: byDefault(target.defaultModel, asked.name) };
  const listIsPartial = snapshot === null || !snapshot.listsEverything;
  // Azure never lists deployments: a name outside the map is a guess that can only end in 404.
  if ((listIsPartial && target.adapterKind !== 'azure-openai') || asked.pin !== null)
    return { match: assumed(asked.name) };
  return {
    leftOut: `does not have the model "${asked.name}"${target.defaultModel === null ? ' and no default model' : ''}`,
  };
}

function matchAnyCloud(entry: TargetEntry): MatchResult {
  const { target, snapshot } = entry;
  if (target.defaultModel !== null) return { match: byDefault(target.defaultModel, '') };
  // OpenRouter's own automatic choice.
  if (target.adapterKind === 'openrouter') return { match: byDefault('openrouter/auto', '') };
  const only = [...target.deployments.values()];
  if (only.length === 1 && only[0] !== undefined) return { match: byDefault(only[0], '') };
  const chat = snapshot?.models.filter((model) => model.kind === 'chat') ?? [];
  if (chat.length === 1 && chat[0] !== undefined) return named(chat[0]);
  return { leftOut: 'no model was named and it has no default model' };
}

/** `strict`: the whole name, since it is what a key was allowed by. */
function deploymentFor(deployments: ReadonlyMap<string, string>, name: string, strict: boolean): string | null {
  if (deployments.size === 0) return null;
  const key = name.toLowerCase();
  const bare = strict ? key : bareName(key);
  for (const [asked, deployment] of deployments) {
    const known = asked.toLowerCase();
    if (known === key || known === bare || deployment.toLowerCase() === key) return deployment;
  }
  return null;
}

function named(info: ModelInfo): MatchResult {
  if (info.kind === 'embedding') return { leftOut: `"${info.id}" is an embedding model` };
  return {
    match: {
      model: info.id,
      info,
      loaded: info.state === 'loaded',
      how: 'named',
      words: `${info.id} is ${STATE_WORDS[info.state]}`,
    },
  };
}

function assumed(name: string): ModelMatch {
  return { model: name, info: null, loaded: true, how: 'assumed', words: `${name} passed on` };
}

/** The server is up and loading its only model: whoever has nowhere else to go waits for it. */
export function loadingMatch(model: string): ModelMatch {
  return { model, info: null, loaded: false, how: 'loading', words: 'it is loading its model' };
}

function byDefault(model: string, asked: string): ModelMatch {
  const words = asked === '' ? `default model ${model}` : `default model ${model} for ${asked}`;
  return { model, info: null, loaded: true, how: asked === '' ? 'named' : 'stand-in', words };
}
