import type { SpendingCeilings, SpendingTerms } from '../../core/billing.ts';
import { DEARER_WAYS, OTHER_LIMITS, OTHER_MODELS, PAID_EXTRAS, PROMPT_MAKERS } from '../../core/body-fields.ts';
import { countOf, isObject, type JsonObject, listOf, objectOf } from '../../core/json-shape.ts';
import type { InferenceRequest } from '../../core/request.ts';

/** OpenAI's two names for the most tokens of an answer: the older one, and the one that its reasoning models want. */
export type TokenLimitField = 'max_tokens' | 'max_completion_tokens';

type Body = InferenceRequest['body'];
/** Top-level members to set; undefined: to be taken out. */
export type Changes = Record<string, unknown>;

const OPENAI_LIMITS: readonly TokenLimitField[] = ['max_completion_tokens', 'max_tokens'];
/** What costs no more than the published price; `priority` costs twice as much. */
const USUAL_TIERS: ReadonlySet<unknown> = new Set(['auto', 'default', 'flex', 'standard', 'standard_only']);
/** Tools that the client runs itself. All others run at the provider, which charges for them. */
const CLIENT_TOOLS: ReadonlySet<unknown> = new Set(['function', 'custom', undefined]);

/** What is taken out of a body because its caller may have the one model that was checked, for the price that was asked. */
export function withinTerms(
  { body, caller }: Pick<InferenceRequest, 'body' | 'caller'>,
  terms: SpendingTerms | null,
  limitField: TokenLimitField,
  choosesProvider = false,
): Changes {
  if (caller.kind !== 'key' && terms === null) return {};
  const changes: Changes = {};
  for (const field of OTHER_MODELS) if (Object.hasOwn(body, field)) changes[field] = undefined;
  if (terms === null && caller.policies.models === null) return changes;
  for (const field of PAID_EXTRAS) if (Object.hasOwn(body, field)) changes[field] = undefined;
  if (terms === null) return changes;
  for (const field of DEARER_WAYS) if (Object.hasOwn(body, field)) changes[field] = undefined;
  for (const field of PROMPT_MAKERS) if (Object.hasOwn(body, field)) changes[field] = undefined;
  Object.assign(changes, withPlainSwitches(body));
  if (Object.hasOwn(body, 'service_tier') && !USUAL_TIERS.has(body['service_tier']))
    changes['service_tier'] = undefined;
  if (terms.most !== null && (choosesProvider || Object.hasOwn(body, 'provider'))) {
    changes['provider'] = noneDearer(objectOf(body['provider']), terms.most);
  }
  return { ...changes, ...withoutPaidTools(body), ...limited(body, terms.answerTokens, limitField) };
}

/** What of the body is not sent on, by name. Of `provider` its members; a limit under another name is still sent. */
export function notSentOn(body: Body, changes: Changes): readonly string[] {
  const names: string[] = [];
  for (const [field, value] of Object.entries(changes)) {
    if (!Object.hasOwn(body, field) || (OPENAI_LIMITS as readonly string[]).includes(field)) continue;
    if (field === 'provider' && isObject(body[field])) names.push(...choicesIn(body[field]));
    else if (value === undefined || CUT_SHORT.has(field)) names.push(field);
  }
  return names;
}

/** Where they are changed, something is taken out of them. */
const CUT_SHORT: ReadonlySet<string> = new Set(['tools', 'chat_template_kwargs', 'provider']);
const PROVIDER_CHOICES = ['order', 'only', 'sort', 'allow_fallbacks'];

/** Only names that are known: they stand in a header. */
function choicesIn(asked: JsonObject): readonly string[] {
  const known = PROVIDER_CHOICES.filter((name) => Object.hasOwn(asked, name));
  const kept = [...PROVIDER_CHOICES, ...PROVIDER_WISHES, 'max_price'];
  const others = Object.keys(asked).some((name) => !kept.includes(name)) ? ['provider'] : [];
  return [...known.map((name) => `provider.${name}`), ...others];
}

/** `enable_thinking` and the like. Texts and lists could be a template, or be written by one any number of times. */
function withPlainSwitches(body: Body): Changes {
  const given = body['chat_template_kwargs'];
  if (given === undefined) return {};
  const members = isObject(given) ? Object.entries(given) : [];
  const plain = members.filter(([name, value]) => name !== 'chat_template' && isSwitch(value));
  if (isObject(given) && plain.length === members.length) return {};
  return { chat_template_kwargs: plain.length === 0 ? undefined : Object.fromEntries(plain) };
}

/** Yes, no, a number or a word such as `high`. */
function isSwitch(value: unknown): boolean {
  return typeof value === 'string' ? /^\w{0,32}$/.test(value) : typeof value !== 'object';
}

/** Wishes at OpenRouter that make nothing dearer than `max_price` allows. The client's choice and order of providers are left out. */
const PROVIDER_WISHES = ['data_collection', 'zdr', 'require_parameters', 'quantizations', 'ignore'];
/** What is published as decimals is compared as floating point: it must not fail by its last digit. */
const SLACK_USD = 1e-9;

function noneDearer(asked: JsonObject, most: SpendingCeilings): JsonObject {
  const wishes = PROVIDER_WISHES.filter((name) => Object.hasOwn(asked, name)).map((name) => [name, asked[name]]);
  const own = objectOf(asked['max_price']);
  const ceilings = Object.entries(most).filter((ceiling): ceiling is [string, number] => ceiling[1] !== null);
  const least = ceilings.map(([name, usd]) => [name, Math.min(usd + SLACK_USD, ownPrice(own[name]))]);
  return { ...Object.fromEntries(wishes), max_price: Object.fromEntries(least) };
}

/** OpenRouter takes numbers, and numbers as text. */
function ownPrice(value: unknown): number {
  const price = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof price === 'number' && price >= 0 ? price : Number.POSITIVE_INFINITY;
}

function withoutPaidTools(body: Body): Changes {
  const tools = listOf(body['tools']);
  const own = tools.filter((tool) => isObject(tool) && CLIENT_TOOLS.has(tool['type']));
  if (own.length === tools.length) return {};
  if (own.length > 0) return { tools: own };
  return { tools: undefined, ...(Object.hasOwn(body, 'tool_choice') ? { tool_choice: undefined } : {}) };
}

/** One limit under one name: what is set aside was reckoned from it, and servers differ in which of several counts. */
function limited(body: Body, most: number | null, limitField: TokenLimitField): Changes {
  const changes: Changes = {};
  for (const field of OTHER_LIMITS) if (Object.hasOwn(body, field)) changes[field] = undefined;
  if (most === null) return changes;
  // The client knows which name its model wants.
  const given = OPENAI_LIMITS.find((field) => countOf(body[field], 1) !== null);
  for (const field of OPENAI_LIMITS) if (Object.hasOwn(body, field)) changes[field] = undefined;
  changes[given ?? limitField] = most;
  return changes;
}
