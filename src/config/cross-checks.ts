import type { Problem } from '../core/problem.ts';
import { RESERVED_PROVIDERS } from '../core/target.ts';
import type { SettingInForce } from './config.ts';
import { strategyFault } from './names.ts';
import type { Values } from './schema.ts';
import { azureIsOn, defaultPlace, openRouterIsOn } from './targets.ts';
import { isLoopbackHost } from './urls.ts';
import type { TargetSpec } from './yaml-targets.ts';

export interface CrossCheckInput {
  readonly values: Values;
  readonly settings: readonly SettingInForce[];
  readonly specs: readonly TargetSpec[];
  readonly strategies: readonly string[];
  /** Names of settings whose own value is wrong: nothing further is said about what they lack. */
  readonly wrong: ReadonlySet<string>;
}

/** What no setting can know alone. */
export function crossCheck(input: CrossCheckInput): Problem[] {
  return [
    ...checkCloud(input),
    ...checkStrategy(input),
    ...checkClocks(input),
    ...checkPower(input),
    ...checkOidc(input),
    ...checkSpecs(input),
  ];
}

/** A problem of one setting, shown where its value came from. */
function problemOf(
  input: CrossCheckInput,
  name: string,
  message: string,
  fix: string,
  allowed: string | null = null,
): Problem {
  const setting = input.settings.find((candidate) => candidate.name === name);
  const where = setting?.where ?? 'default';
  return { where, name, seen: setting?.value ?? null, message, allowed, fix };
}

function checkCloud(input: CrossCheckInput): Problem[] {
  const { values, wrong } = input;
  const problems: Problem[] = [];
  if (values.openrouterEnabled === true && values.openrouterApiKey === null && !wrong.has('OPENROUTER_API_KEY')) {
    const fix = 'set OPENROUTER_API_KEY, or leave OPENROUTER_ENABLED empty';
    problems.push(
      problemOf(input, 'OPENROUTER_ENABLED', 'OpenRouter is enabled but OPENROUTER_API_KEY is not set', fix),
    );
  }
  if (values.azureEnabled === false) return problems;
  const lacksKey = values.azureApiKey === null && !wrong.has('AZURE_API_KEY');
  const lacksEndpoint = values.azureEndpoint === null && !wrong.has('AZURE_ENDPOINT');
  if (values.azureEnabled === true) {
    const missing = [lacksEndpoint ? 'AZURE_ENDPOINT' : null, lacksKey ? 'AZURE_API_KEY' : null].filter(
      (name) => name !== null,
    );
    if (missing.length > 0) {
      const names = missing.join(' and ');
      const message = `Azure is enabled but ${names} ${missing.length > 1 ? 'are' : 'is'} not set`;
      problems.push(problemOf(input, 'AZURE_ENABLED', message, `set ${names}, or leave AZURE_ENABLED empty`));
    }
  } else if (values.azureApiKey !== null && lacksEndpoint) {
    const fix = 'set AZURE_ENDPOINT to https://<resource>.openai.azure.com, or remove the key';
    problems.push(
      problemOf(input, 'AZURE_API_KEY', 'there is a key for Azure but no AZURE_ENDPOINT to use it at', fix),
    );
  }
  return problems;
}

function checkStrategy(input: CrossCheckInput): Problem[] {
  const fault = strategyFault(input.values.strategy, input.strategies);
  return fault === null ? [] : [problemOf(input, 'SWARMROUTER_STRATEGY', fault.message, fault.fix, fault.allowed)];
}

/** Clocks that a person set and that could never run out, because the whole request has less time. */
function checkClocks(input: CrossCheckInput): Problem[] {
  const { values, settings } = input;
  const limit = settings.find(({ name }) => name === 'SWARMROUTER_REQUEST_TIMEOUT');
  if (limit === undefined || limit.source === 'default') return [];
  const parts = [
    ['SWARMROUTER_CONNECT_TIMEOUT', values.connectTimeoutMs],
    ['SWARMROUTER_QUEUE_TIMEOUT', values.queueTimeoutMs],
  ] as const;
  return parts.flatMap(([name, ms]) => {
    const isSet = settings.some((setting) => setting.name === name && setting.source !== 'default');
    if (!isSet || ms === null || ms <= values.requestTimeoutMs) return [];
    const message = `it could never run out: the whole request has ${limit.value} s (SWARMROUTER_REQUEST_TIMEOUT)`;
    return [problemOf(input, name, message, 'shorten it, or give the request more time', `at most ${limit.value}`)];
  });
}

/** Two settings that say nothing alone. */
function checkPower(input: CrossCheckInput): Problem[] {
  const { localWatts, kwhUsd } = input.values;
  const pair = [
    ['SWARMROUTER_LOCAL_WATTS', localWatts, 'SWARMROUTER_KWH_USD', kwhUsd],
    ['SWARMROUTER_KWH_USD', kwhUsd, 'SWARMROUTER_LOCAL_WATTS', localWatts],
  ] as const;
  return pair.flatMap(([name, value, other, otherValue]) => {
    if (value === null || otherValue !== null || input.wrong.has(other)) return [];
    return [problemOf(input, name, `it says no price without ${other}`, `set ${other} too, or remove it`)];
  });
}

/** An identity provider needs them together, and each of them needs the provider. */
function checkOidc(input: CrossCheckInput): Problem[] {
  const { values, wrong } = input;
  const issuer = 'SWARMROUTER_OIDC_ISSUER';
  const needed = [
    ['SWARMROUTER_OIDC_CLIENT_ID', values.oidcClientId, 'the client id that the provider gave'],
    ['SWARMROUTER_OIDC_ROLES', values.oidcRoles, 'who may do what, else nobody could log in'],
  ] as const;
  if (values.oidcIssuer === null) {
    const secret = ['SWARMROUTER_OIDC_CLIENT_SECRET', values.oidcClientSecret] as const;
    if (wrong.has(issuer)) return [];
    return [...needed, secret].flatMap(([name, value]) =>
      value === null
        ? []
        : [problemOf(input, name, `it says nothing without ${issuer}`, `set ${issuer} too, or remove it`)],
    );
  }
  const lacking = needed.flatMap(([name, value, what]) =>
    value !== null || wrong.has(name) ? [] : [problemOf(input, issuer, `${name} is not set`, `set ${name}: ${what}`)],
  );
  const isNowhere = !isLoopbackHost(values.host) && values.publicUrl === null && !wrong.has('SWARMROUTER_PUBLIC_URL');
  if (!isNowhere) return lacking;
  const fix = 'set SWARMROUTER_PUBLIC_URL to where browsers reach the gateway, such as https://ai.example.com';
  return [...lacking, problemOf(input, issuer, 'it is not known where logins come back to', fix)];
}

function checkSpecs(input: CrossCheckInput): Problem[] {
  const problems: Problem[] = [];
  const owners = ownersOfIds(input.values);
  for (const spec of input.specs) {
    const report = (field: string, seen: string, message: string, fix: string) =>
      problems.push({ where: spec.where, name: `${spec.path}.${field}`, seen, message, allowed: null, fix });
    const owner = owners.get(spec.name);
    if (owner !== undefined) report('name', spec.name, `the name is taken by ${owner}`, 'choose another name');
    else owners.set(spec.name, `${spec.path} (${spec.where})`);
    problems.push(...specFaults(spec));
  }
  return problems;
}

/** What a target says of itself that does not fit together. */
export function specFaults(spec: TargetSpec): Problem[] {
  const problems: Problem[] = [];
  const nameOf = (field: string): string => (spec.path === '' ? field : `${spec.path}.${field}`);
  const report = (field: string, seen: string, message: string, fix: string) =>
    problems.push({ where: spec.where, name: nameOf(field), seen, message, allowed: null, fix });
  if (spec.kind === 'openai-compatible' && RESERVED_PROVIDERS.has(spec.name)) {
    report('name', spec.name, 'the name means something else in a model name', 'choose another name');
  }
  if (spec.max_concurrent !== null && (spec.place ?? defaultPlace(spec.kind)) === 'cloud') {
    report(
      'max_concurrent',
      String(spec.max_concurrent),
      'cloud targets have no limit',
      'remove it, or say place: local',
    );
  }
  if (spec.on_disconnect === 'drain' && (spec.place ?? defaultPlace(spec.kind)) === 'local') {
    report('on_disconnect', 'drain', 'a local target would work for nobody', 'remove it, or say place: cloud');
  }
  const isAzure = spec.kind === 'azure-openai';
  if (!isAzure && spec.deployments !== null) report('deployments', '…', 'only Azure has deployments', 'remove it');
  if (!isAzure && spec.api_version !== null)
    report('api_version', spec.api_version, 'only Azure has API versions', 'remove it');
  return problems;
}

/** Ids that the environment's targets take, and whose they are. */
function ownersOfIds(values: Values): Map<string, string> {
  const owners = new Map<string, string>();
  const lists = [
    ['lmstudio', 'LMSTUDIO_URL', values.lmstudioEnabled === false ? null : values.lmstudioUrl],
    ['ollama', 'OLLAMA_URL', values.ollamaUrl],
    ['llamacpp', 'LLAMACPP_URL', values.llamacppUrl],
    ['vllm', 'VLLM_URL', values.vllmUrl],
    ['sglang', 'SGLANG_URL', values.sglangUrl],
  ] as const;
  for (const [id, setting, urls] of lists) {
    for (const index of (urls ?? []).keys())
      owners.set(index === 0 ? id : `${id}-${index + 1}`, `the target of ${setting}`);
  }
  if (values.lmstudioEnabled === true && values.lmstudioUrl === null)
    owners.set('lmstudio', 'the target of LMSTUDIO_ENABLED');
  if (openRouterIsOn(values)) owners.set('openrouter', 'the target of OPENROUTER_API_KEY');
  if (azureIsOn(values)) owners.set('azure', 'the target of AZURE_API_KEY');
  return owners;
}
