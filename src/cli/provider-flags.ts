import { mapping } from '../config/setting-kinds.ts';
import { CLOCK_FIELDS } from '../core/given-provider.ts';

/** What takes a field back to what is usual. */
export const NONE = 'none';

/** The flags of `providers add` and `update`, as they were typed. The gateway judges what fits which kind, and says so. */
export interface ProviderFlags {
  readonly name?: string;
  readonly apiKey?: string;
  readonly baseUrl?: string;
  /** Another name for `baseUrl`. */
  readonly endpoint?: string;
  readonly network?: string;
  readonly place?: string;
  readonly maxConcurrent?: string;
  readonly defaultModel?: string;
  /** Another name for `defaultModel`. */
  readonly defaultDeployment?: string;
  readonly deployments?: string;
  readonly apiVersion?: string;
  readonly assemble?: string;
  readonly continuesAnswers?: string;
  readonly onDisconnect?: string;
  readonly connectTimeout?: string;
  readonly firstByteTimeout?: string;
  readonly firstTokenTimeout?: string;
  readonly idleTimeout?: string;
  readonly warmupTimeout?: string;
  readonly streamTimeout?: string;
  readonly queueTimeout?: string;
  readonly verify?: boolean;
  readonly json?: boolean;
}

/** `connect_timeout` → `connectTimeout`, as the flag is called. */
const flagOf = (field: string): keyof ProviderFlags =>
  field.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()) as keyof ProviderFlags;

export const CLOCK_FLAGS: readonly (readonly [string, string])[] = CLOCK_FIELDS.map(([field]) => [
  field,
  field.replaceAll('_', '-'),
]);

/** The fields for the admin API but the key; a text: what is wrong. */
export function providerFieldsOf(flags: ProviderFlags): Readonly<Record<string, unknown>> | string {
  const deployments = deploymentsOf(flags.deployments);
  if (typeof deployments === 'string') return deployments;
  const clocks = CLOCK_FIELDS.map(([field]) => [field, numberOf(flags[flagOf(field)] as string | undefined)] as const);
  const fields = {
    url: flags.baseUrl ?? flags.endpoint,
    ...{ network: textOf(flags.network), place: textOf(flags.place), max_concurrent: numberOf(flags.maxConcurrent) },
    default_model: textOf(flags.defaultModel ?? flags.defaultDeployment),
    ...{ deployments, api_version: textOf(flags.apiVersion) },
    ...{ assemble: flagValue(flags.assemble), continues_answers: flagValue(flags.continuesAnswers) },
    on_disconnect: textOf(flags.onDisconnect),
    ...Object.fromEntries(clocks),
    verify: flags.verify,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function deploymentsOf(text: string | undefined): Readonly<Record<string, string>> | null | undefined | string {
  if (text === undefined) return undefined;
  if (text === NONE) return null;
  const pairs = mapping('').parse(text);
  if (pairs.ok) return Object.fromEntries(pairs.value);
  return `--deployments ${JSON.stringify(text)}: ${pairs.reason}. Write model=deployment,…`;
}

const textOf = (text: string | undefined): string | null | undefined => (text === NONE ? null : text);

/** What is no number goes as it is: the gateway says what is allowed. */
export function numberOf(text: string | undefined): unknown {
  if (text === undefined || text === NONE) return text === NONE ? null : undefined;
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function flagValue(text: string | undefined): unknown {
  const words: Readonly<Record<string, boolean | null>> = { true: true, false: false, [NONE]: null };
  return text === undefined || !Object.hasOwn(words, text) ? text : words[text];
}
