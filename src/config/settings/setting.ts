import { type Kind, type Parsed, text } from '../setting-kinds.ts';

export const SETTING_GROUPS = [
  'LM Studio',
  'Other local servers',
  'OpenRouter',
  'Azure OpenAI',
  'Models',
  'Routing',
  'Clocks',
  'Server',
  'Logins',
  'Usage',
  'Logging',
] as const;
export type SettingGroup = (typeof SETTING_GROUPS)[number];

export interface Setting<T> {
  /** The environment variable. */
  readonly name: string;
  readonly kind: Kind<NonNullable<T>>;
  readonly default: T;
  /** The default as documentation says it. */
  readonly defaultDoc: string;
  readonly doc: string;
  readonly group: SettingGroup;
  /** A value for the commented line of `.env.example`. */
  readonly example: string;
  /** False: it says where the YAML file is, so the file cannot hold it. */
  readonly inYaml: boolean;
  /** A change counts only after a restart. */
  readonly restart: boolean;
}

interface Declaration {
  readonly group: SettingGroup;
  readonly doc: string;
  readonly example?: string;
  readonly inYaml?: boolean;
  readonly restart?: boolean;
}

function checkedDefault<T>(name: string, parsed: Parsed<T>): T {
  if (parsed.ok) return parsed.value;
  throw new Error(`the default of ${name} is not allowed: ${parsed.reason}`);
}

/** A setting that always has a value. `written` is the default as a person would write it. */
export function setting<T>(name: string, kind: Kind<T>, written: string, rest: Declaration): Setting<T> {
  return {
    name,
    kind: kind as Kind<NonNullable<T>>,
    default: checkedDefault(name, kind.parse(written)),
    defaultDoc: written,
    doc: rest.doc,
    group: rest.group,
    example: rest.example ?? written,
    inYaml: rest.inYaml ?? true,
    restart: rest.restart ?? false,
  };
}

/** A setting that may be unset; `unset` says what then happens. */
export function optional<T>(name: string, kind: Kind<T>, unset: string, rest: Declaration): Setting<T | null> {
  return {
    name,
    kind: kind as Kind<NonNullable<T>>,
    default: null,
    defaultDoc: unset,
    doc: rest.doc,
    group: rest.group,
    example: rest.example ?? '',
    inYaml: rest.inYaml ?? true,
    restart: rest.restart ?? false,
  };
}

/** The longest that most times may be, s. */
export const A_DAY = 86_400;
/** The name of a model. */
export const modelName = text('a model name', 'model');
