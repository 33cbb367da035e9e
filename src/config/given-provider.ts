import { type GivenProvider, type ProviderGiven, providerFields } from '../core/given-provider.ts';
import { isObject, type JsonObject } from '../core/json-shape.ts';
import type { Problem, Reading } from '../core/problem.ts';
import { specFaults } from './cross-checks.ts';
import { isSecretReference, type SecretPlaces } from './secret-reference.ts';
import { choice, type Kind } from './setting-kinds.ts';
import { defaultPlace } from './targets.ts';
import { isOddAddress } from './urls.ts';
import { placeOfJson, THE_REQUEST } from './written-json.ts';
import { MISSING, partsOf, readTargetFields, TARGET_FIELDS } from './yaml-targets.ts';

const NETWORK = choice(['lan', 'public']);
const FIELDS: Readonly<Record<string, { readonly kind: Kind<unknown> }>> = {
  ...TARGET_FIELDS,
  network: { kind: NETWORK },
};
/** Of one that is there: whoever wants another kind of server deletes it and adds another. */
const FIXED = ['name', 'kind'];

/** What a secret may be read from by whoever may only use the API: from nowhere. */
const NO_PLACES: SecretPlaces = { variable: () => null, readFile: () => null };

/**
 * A provider from a body of the admin API, with the fields and checks of a target of the YAML file. Pure.
 * @param before what is there, of which the body says what changes (null: back to the usual); null: it is a new one
 */
export function readGivenProvider(body: unknown, before: GivenProvider | null): Reading<ProviderGiven> {
  if (!isObject(body))
    return refused([jsonProblem('the body', body, 'it is no JSON object', 'one JSON object', 'correct the body')]);
  const problems: Problem[] = before === null ? [] : fixedFields(body);
  const whole = before === null ? body : merged(before, body);
  const place = placeOfJson(withoutReference(whole, problems), FIELDS, problems);
  const wrong = new Set(problems.map(({ name }) => name));
  const found: Problem[] = [];
  const spec = readTargetFields(place, NO_PLACES, found);
  // What is of the wrong type is not missing besides.
  problems.push(...found.filter(({ name, message }) => message !== MISSING || !wrong.has(name)));
  const network = place.entries.find(({ key }) => key === 'network')?.value ?? null;
  const parsed = typeof network === 'string' ? NETWORK.parse(network) : null;
  if (parsed?.ok === false) {
    problems.push(problem('network', String(network), parsed.reason, 'lan or public (the default of clouds)'));
  }
  const { url } = whole;
  if (typeof url === 'string' && isOddAddress(url)) {
    problems.push(problem('url', url, 'it is an unusual spelling of an address', 'the address as it is'));
  }
  if (spec !== null) problems.push(...specFaults(spec));
  if (spec === null || problems.length > 0) return refused(problems);
  const usual = defaultPlace(spec.kind) === 'local' ? 'lan' : 'public';
  const given = { ...partsOf(spec), network: parsed?.ok === true ? parsed.value : usual } as const;
  // Its text is not known to the caller, who says nothing of it unless it changes.
  return {
    ok: true,
    value: before === null || Object.hasOwn(body, 'api_key') ? given : { ...given, apiKey: before.apiKey },
  };
}

function merged(before: GivenProvider, body: JsonObject): JsonObject {
  const changes = Object.entries(body).filter(([field]) => !FIXED.includes(field));
  return { ...providerFields(before), ...Object.fromEntries(changes) };
}

function fixedFields(body: JsonObject): Problem[] {
  const given = FIXED.filter((field) => Object.hasOwn(body, field));
  return given.map((field) =>
    jsonProblem(
      field,
      body[field],
      'it cannot be changed',
      null,
      'leave it out, or delete the provider and add another',
    ),
  );
}

/** A variable or file of the gateway's own machine is not for the API to send to an address of the caller's choice. */
function withoutReference(body: JsonObject, problems: Problem[]): JsonObject {
  const { api_key: key, ...rest } = body;
  if (typeof key !== 'string' || !isSecretReference(key.trim())) return body;
  problems.push(problem('api_key', '…', 'env: and file: are read in the YAML file alone', null));
  return rest;
}

function problem(
  name: string,
  seen: string | null,
  message: string,
  allowed: string | null,
  fix = `correct ${name}`,
): Problem {
  return { where: THE_REQUEST, name, seen, message, allowed, fix };
}

/** Of a value of any type, shown as it was sent. */
function jsonProblem(name: string, value: unknown, message: string, allowed: string | null, fix: string): Problem {
  const seen = (JSON.stringify(value) ?? String(value)).slice(0, 80);
  return { ...problem(name, seen, message, allowed, fix), seenIsJson: true };
}

const refused = (problems: readonly Problem[]): Reading<never> => ({
  ok: false,
  problems: problems.map((one) => (one.name === 'api_key' ? { ...one, allowed: 'the key itself' } : one)),
});
