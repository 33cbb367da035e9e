// The API page: reads /openapi.json and shows it. Texts only ever become text nodes; there is no HTML in here.

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

/** Follows a `$ref` inside the document. */
export function resolve(document_, part) {
  if (part === null || typeof part !== 'object' || typeof part.$ref !== 'string') return part ?? {};
  return part.$ref
    .slice(2)
    .split('/')
    .reduce((found, key) => found?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], document_);
}

/** Every operation in document order, its path and method with it. */
export function operationsOf(document_) {
  return Object.entries(document_.paths ?? {}).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method] !== undefined).map((method) => ({ path, method, ...item[method] })),
  );
}

/** A schema as indented lines that a person reads: name, type, whether required, meaning. */
export function schemaLines(document_, schema, depth = 0, name = '', required = true) {
  const found = resolve(document_, schema);
  const notes = [typeText(document_, found), required ? '' : 'optional', found.description ?? ''].filter(Boolean);
  const line = `${'  '.repeat(depth)}${name === '' ? '' : `${name}: `}${notes.join(' · ')}`;
  if (depth > 6) return [line];
  const variants = found.oneOf ?? found.anyOf ?? [];
  const shownVariants = variants.filter((variant) => hasChildren(resolve(document_, variant)));
  const properties = Object.entries(found.properties ?? {});
  return [
    line,
    ...shownVariants.flatMap((variant, at) => schemaLines(document_, variant, depth + 1, `variant ${at + 1}`)),
    ...properties.flatMap(([key, value]) =>
      schemaLines(document_, value, depth + 1, key, (found.required ?? []).includes(key)),
    ),
    ...(found.items === undefined ? [] : schemaLines(document_, found.items, depth + 1, 'each')),
  ];
}

function hasChildren(schema) {
  return schema.properties !== undefined || schema.items !== undefined || schema.oneOf !== undefined;
}

function typeText(document_, schema) {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' or ');
  const variants = schema.oneOf ?? schema.anyOf;
  if (variants !== undefined) {
    return variants.map((variant) => typeText(document_, resolve(document_, variant))).join(' or ');
  }
  return [schema.type ?? 'any'].flat().join(' or ');
}

/** An example value of a schema, for the first try. */
export function exampleOf(document_, schema, depth = 0) {
  const found = resolve(document_, schema);
  for (const known of ['example', 'const', 'default']) if (found[known] !== undefined) return found[known];
  if (Array.isArray(found.examples)) return found.examples[0];
  if (found.enum !== undefined) return found.enum[0];
  const variants = found.oneOf ?? found.anyOf;
  if (variants !== undefined) return exampleOf(document_, variants[0], depth + 1);
  const type = [found.type].flat()[0];
  if (type === 'object') return exampleObject(document_, found, depth);
  if (type === 'array') return depth > 6 ? [] : [exampleOf(document_, found.items, depth + 1)];
  return { integer: 0, number: 0, boolean: false, string: '' }[type] ?? null;
}

/** Only what is required, and what has an example of its own. */
function exampleObject(document_, schema, depth) {
  const required = schema.required ?? [];
  const shown = Object.entries(schema.properties ?? {}).filter(
    ([key, value]) => depth < 6 && (required.includes(key) || resolve(document_, value).example !== undefined),
  );
  return Object.fromEntries(shown.map(([key, value]) => [key, exampleOf(document_, value, depth + 1)]));
}

export function exampleBody(document_, operation) {
  const schema = operation.requestBody?.content?.['application/json']?.schema;
  return schema === undefined ? null : JSON.stringify(exampleOf(document_, schema), null, 2);
}

/** The operation's path with its parameters filled in. */
export function filledPath(operation, values) {
  return operation.path.replaceAll(/\{([^}]+)\}/g, (_, name) => encodeURIComponent(values[name] || name));
}

/** Whether an operation needs a key, takes one, or neither. */
export function keyUse(operation) {
  const schemes = operation.security ?? [];
  if (schemes.length === 0) return { kind: 'none', variable: '' };
  const variable = schemes.some((scheme) => scheme.adminKey !== undefined) ? 'ADMIN_KEY' : 'CLIENT_KEY';
  return { kind: schemes.some((scheme) => Object.keys(scheme).length === 0) ? 'optional' : 'needed', variable };
}

const quoted = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** The same call for a shell. The key stays a variable: it is never written out. */
export function curlFor(operation, origin, values, body) {
  const { kind, variable } = keyUse(operation);
  const parts = [`curl ${quoted(origin + filledPath(operation, values))}`];
  if (operation.method !== 'get' && !(operation.method === 'post' && body !== null)) {
    parts.push(`-X ${operation.method.toUpperCase()}`);
  }
  if (kind === 'needed') parts.push(`-H "authorization: Bearer $${variable}"`);
  if (body !== null) parts.push("-H 'content-type: application/json'", `-d ${quoted(body)}`);
  return parts.join(' \\\n  ');
}

let lastId = 0;

/** Makes an element. A string child becomes a text node. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function labelled(text, field) {
  lastId += 1;
  field.setAttribute('id', `field-${lastId}`);
  return element('label', { for: `field-${lastId}` }, `${text} `, field);
}

/** The whole page from a document. `keyField` is shared by all forms. */
export function renderPage(document_, origin, call) {
  const keyField = element('input', { type: 'password', autocomplete: 'off', spellcheck: 'false', size: '40' });
  const operations = operationsOf(document_);
  const sections = (document_.tags ?? []).map((tag) =>
    element(
      'section',
      {},
      element('h2', {}, tag.name),
      element('p', { class: 'faint' }, tag.description ?? ''),
      ...operations
        .filter((operation) => (operation.tags ?? []).includes(tag.name))
        .map((operation) => operationView(document_, operation, origin, keyField, call)),
    ),
  );
  return [
    element(
      'header',
      {},
      element('h1', {}, `${document_.info.title} ${document_.info.version}`),
      labelled('Colours', themeField()),
    ),
    element('p', {}, document_.info.description ?? ''),
    labelled('Key for trying (stays in this page, forgotten when it closes)', keyField),
    ...sections,
  ];
}

function themeField() {
  const field = element(
    'select',
    {},
    ...['auto', 'light', 'dark'].map((name) => element('option', { value: name }, name)),
  );
  field.addEventListener('change', () => {
    document.documentElement.setAttribute('data-theme', field.value);
  });
  return field;
}

function operationView(document_, operation, origin, keyField, call) {
  const parameters = (operation.parameters ?? []).map((parameter) => resolve(document_, parameter));
  const key = keyUse(operation);
  return element(
    'details',
    { id: operation.operationId },
    element(
      'summary',
      {},
      element('span', { class: `method ${operation.method}` }, operation.method.toUpperCase()),
      element('code', { class: 'path' }, operation.path),
      element('span', { class: 'faint' }, operation.summary ?? ''),
    ),
    element(
      'div',
      {},
      element('p', {}, operation.description ?? ''),
      element('p', { class: 'faint' }, key.kind === 'none' ? 'No key.' : `Key ${key.kind}.`),
      parameters.length === 0 ? null : parameterTable(document_, parameters),
      ...bodyView(document_, 'Request body', operation.requestBody?.content),
      ...Object.entries(operation.responses ?? {}).flatMap(([status, reply]) =>
        bodyView(document_, `${status} ${reply.description ?? ''}`, reply.content ?? {}),
      ),
      tryForm(document_, operation, parameters, origin, keyField, call),
    ),
  );
}

function parameterTable(document_, parameters) {
  const head = ['Parameter', 'In', 'Type', 'Meaning'].map((text) => element('th', { scope: 'col' }, text));
  const rows = parameters.map((parameter) => {
    const schema = resolve(document_, parameter.schema);
    const cells = [
      parameter.name + (parameter.required ? ' (required)' : ''),
      parameter.in,
      typeText(document_, schema),
      parameter.description ?? schema.description ?? '',
    ];
    return element('tr', {}, ...cells.map((text) => element('td', {}, text)));
  });
  return element('table', {}, element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...rows));
}

function bodyView(document_, title, content) {
  if (content === undefined) return [];
  const schemas = Object.entries(content).map(([mediaType, { schema }]) =>
    element('pre', { tabindex: '0' }, `${mediaType}\n${schemaLines(document_, schema ?? {}).join('\n')}`),
  );
  return [element('h4', {}, title), ...schemas];
}

function tryForm(document_, operation, parameters, origin, keyField, call) {
  const inputs = parameters
    .filter((parameter) => parameter.in === 'path' || parameter.in === 'header')
    .map((parameter) => ({ parameter, field: element('input', { type: 'text' }) }));
  const example = exampleBody(document_, operation);
  const bodyField = example === null ? null : element('textarea', { rows: '8', spellcheck: 'false' });
  if (bodyField !== null) bodyField.value = example;
  const curl = element('pre', { tabindex: '0' });
  const answer = element('pre', { tabindex: '0', 'aria-live': 'polite' });
  const valuesIn = (place) =>
    Object.fromEntries(
      inputs
        .filter(({ parameter }) => parameter.in === place)
        .map(({ parameter, field }) => [parameter.name, field.value]),
    );
  const refresh = () => {
    curl.textContent = curlFor(operation, origin, valuesIn('path'), bodyField?.value ?? null);
  };
  const form = element(
    'form',
    {},
    element('h4', {}, 'Try it'),
    ...inputs.map(({ parameter, field }) => labelled(parameter.name, field)),
    bodyField === null ? null : labelled('Body', bodyField),
    curl,
    element('button', { type: 'submit' }, 'Send'),
    answer,
  );
  form.addEventListener('input', refresh);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    answer.textContent = 'Waiting…';
    answer.textContent = await call({
      method: operation.method.toUpperCase(),
      path: filledPath(operation, valuesIn('path')),
      headers: Object.fromEntries(Object.entries(valuesIn('header')).filter(([, value]) => value !== '')),
      key: keyUse(operation).kind === 'none' ? '' : keyField.value.trim(),
      body: bodyField?.value ?? null,
    });
  });
  refresh();
  return form;
}

/** Sends one request and tells what came back, as text. */
export async function send({ method, path, headers, key, body }) {
  try {
    const reply = await fetch(path, {
      method,
      headers: {
        ...headers,
        ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
        ...(body === null ? {} : { 'content-type': 'application/json' }),
      },
      body,
      credentials: 'omit',
    });
    const text = await reply.text();
    return `${reply.status} ${reply.statusText}\n${readable(text)}`;
  } catch (error) {
    return `Not sent: ${error instanceof Error ? error.message : error}`;
  }
}

function readable(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function start() {
  const page = document.getElementById('page');
  try {
    const reply = await fetch('/openapi.json');
    page.replaceChildren(...renderPage(await reply.json(), location.origin, send));
  } catch (error) {
    page.replaceChildren(element('p', {}, `The description of the API could not be read: ${error}`));
  }
}

if (typeof document !== 'undefined' && typeof location !== 'undefined') start();
