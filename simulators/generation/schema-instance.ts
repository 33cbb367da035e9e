import { isObject, type JsonObject } from './chat-request.ts';

/** Deeper than this a recursive schema is cut with null. */
const MAX_DEPTH = 16;

/** The smallest value that a JSON schema accepts: required properties, first enum value, shortest strings and lists. */
export function minimalInstance(schema: JsonObject): unknown {
  return instanceOf(schema, schema, 0);
}

function instanceOf(schema: unknown, root: JsonObject, depth: number): unknown {
  if (!isObject(schema) || depth > MAX_DEPTH) return null;
  if (typeof schema['$ref'] === 'string') return instanceOf(resolve(schema['$ref'], root), root, depth + 1);
  if ('const' in schema) return schema['const'];
  if (Array.isArray(schema['enum']) && schema['enum'].length > 0) return schema['enum'][0];
  if (Array.isArray(schema['allOf'])) {
    return instanceOf(Object.assign({}, ...schema['allOf'].filter(isObject)), root, depth + 1);
  }
  const options = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(options)) return instanceOf(options[0], root, depth + 1);
  return instanceOfType(typeOf(schema), schema, root, depth);
}

function typeOf(schema: JsonObject): unknown {
  const type = schema['type'];
  if (Array.isArray(type)) return type.find((each) => each !== 'null') ?? 'null';
  return type ?? (isObject(schema['properties']) ? 'object' : undefined);
}

function instanceOfType(type: unknown, schema: JsonObject, root: JsonObject, depth: number): unknown {
  switch (type) {
    case 'string':
      return stringOf(schema);
    case 'integer':
    case 'number':
      return numberOf(schema, type === 'integer');
    case 'boolean':
      return true;
    case 'null':
      return null;
    case 'array': {
      const length = Number(schema['minItems'] ?? 0);
      return Array.from({ length }, () => instanceOf(schema['items'], root, depth + 1));
    }
    default:
      return objectOf(schema, root, depth);
  }
}

function objectOf(schema: JsonObject, root: JsonObject, depth: number): JsonObject {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  const names = required.filter((name): name is string => typeof name === 'string');
  return Object.fromEntries(names.map((name) => [name, instanceOf(properties[name] ?? {}, root, depth + 1)]));
}

function stringOf(schema: JsonObject): string {
  const minimum = Number(schema['minLength'] ?? 0);
  const maximum = Number(schema['maxLength'] ?? Number.POSITIVE_INFINITY);
  return 'sample'.slice(0, maximum).padEnd(minimum, 'x');
}

function numberOf(schema: JsonObject, whole: boolean): number {
  const step = whole ? 1 : 0.5;
  if (typeof schema['minimum'] === 'number') return whole ? Math.ceil(schema['minimum']) : schema['minimum'];
  if (typeof schema['exclusiveMinimum'] === 'number') return Math.floor(schema['exclusiveMinimum']) + step;
  if (typeof schema['maximum'] === 'number') return Math.min(1, Math.floor(schema['maximum']));
  if (typeof schema['exclusiveMaximum'] === 'number') return Math.min(1, Math.ceil(schema['exclusiveMaximum']) - 1);
  return 1;
}

function resolve(reference: string, root: JsonObject): unknown {
  let at: unknown = root;
  for (const step of reference.replace(/^#\/?/, '').split('/')) {
    if (step === '') continue;
    at = isObject(at) ? at[step.replaceAll('~1', '/').replaceAll('~0', '~')] : null;
  }
  return at;
}
