import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { isObject } from '../../core/json-shape.ts';
import { RevisionConflict } from '../../core/key-store.ts';
import { StoreUnavailable } from '../../core/ledger.ts';
import { overrideKey, type PriceOverride, priceFields, readOverride } from '../../core/price-override.ts';
import type { ListedPrice, PriceDesk, PriceName } from '../../core/prices.ts';
import type { TargetView } from '../../core/target-view.ts';
import type { UsageReports } from '../../core/usage-report.ts';
import { AdminError } from './error-envelope.ts';
import { ifMatchHeader, orConflict, revisionOf } from './if-match.ts';
import { jsonBody } from './json-body.ts';
import { auditOriginOf } from './origin.ts';
import { nextCursor, PAGE_ALLOWED, pageOf, pageQuery } from './page.ts';
import { needs } from './permission.ts';
import { questionsFor, type TargetPriceQuestion } from './price-question.ts';
import { priceRequestSchema, setPriceSchema, targetPriceSchema } from './price-schemas.ts';
import { refuseForAll, shown } from './problems.ts';
import { changedSince, errorReplies, errorSchema, jsonReply } from './schemas.ts';
import { type KnownModels, noTargetHas, serverNamesOf } from './unknown-model.ts';
import { wrongQuery } from './wrong-query.ts';

export interface PricePorts {
  readonly prices: () => Promise<PriceDesk>;
  targets(): readonly TargetView[];
  /** Null: usage is not kept, so nothing is priced. */
  readonly usage: () => UsageReports | null;
  /** ms since the Unix epoch. */
  readonly wallMs: () => number;
}

const PATH = '/admin/prices';
const name = z.string().trim().min(1).max(512);
const listQuery = z.strictObject({
  ...pageQuery,
  model: name.optional().openapi({ description: 'What this model costs at each target, too.', example: 'gpt-4o-mini' }),
});
const removeQuery = z.strictObject({
  model: name.openapi({ example: 'gpt-4o-mini' }),
  provider: name.optional().openapi({ description: 'As it was given; absent: the price for every target.' }),
});
const ALLOWED = { ...PAGE_ALLOWED, model: 'the name of a model', provider: 'the name of a target or provider' };

const listSchema = z
  .object({
    prices: z.array(setPriceSchema).openapi({ description: 'Those that were set; with `model` those for it.' }),
    next_cursor: nextCursor,
    targets: z.array(targetPriceSchema).optional().openapi({ description: 'With `model`: its price at each target.' }),
    catalogue: z.object({ source: z.string(), date: z.string() }),
    usage_kept: z.boolean().openapi({ description: 'False: SWARMROUTER_USAGE is off, and no call is priced.' }),
  })
  .openapi('PriceList');
const setSchema = z
  .object({ price: setPriceSchema, usage_kept: z.boolean(), warnings: z.array(z.string()) })
  .openapi('PriceSet');
const removedSchema = z
  .object({ removed: z.object({ model: z.string(), provider: z.string().nullable() }), message: z.string() })
  .openapi('PriceRemoved');

const common = { tags: ['Usage'], path: PATH };
const notKept = jsonReply('It could not be kept; nothing was changed', errorSchema);

const listRoute = createRoute({
  ...common,
  method: 'get',
  ...needs('price:read'),
  operationId: 'listPrices',
  summary: 'The prices that were set, and what a model costs at each target',
  request: { query: listQuery },
  responses: {
    200: jsonReply('The prices', listSchema),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
  },
});

const setRoute = createRoute({
  ...common,
  method: 'post',
  ...needs('price:write'),
  operationId: 'setPrice',
  summary: 'Set what a model costs',
  description:
    'In force for the next call and kept over restarts. It counts before prices of the YAML file, of the provider and ' +
    'of the catalogue. Calls that are running keep the price that they began with.',
  middleware: jsonBody,
  request: {
    headers: ifMatchHeader,
    body: { required: true, content: { 'application/json': { schema: priceRequestSchema } } },
  },
  responses: {
    200: jsonReply('Replaced an earlier one for the same model and provider', setSchema),
    201: jsonReply('Set', setSchema),
    400: errorReplies.badRequest,
    401: errorReplies.unauthorized,
    412: changedSince,
    413: errorReplies.tooLarge,
    415: errorReplies.notJson,
    500: notKept,
  },
});

const removeRoute = createRoute({
  ...common,
  method: 'delete',
  ...needs('price:write'),
  operationId: 'removePrice',
  summary: 'Remove a price that was set over this API',
  request: { query: removeQuery, headers: ifMatchHeader },
  responses: {
    200: jsonReply('Removed; tells what counts now', removedSchema),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
    404: jsonReply('No such price was set over this API', errorSchema),
    412: changedSince,
    500: notKept,
  },
});

export function addPriceRoutes(app: OpenAPIHono, { prices, targets, usage, wallMs }: PricePorts): void {
  app.openapi(
    listRoute,
    async (context) => {
      const { model, ...page } = context.req.valid('query');
      const desk = await prices();
      const { source, date } = desk.catalogue;
      const body = { catalogue: { source, date }, usage_kept: usage() !== null };
      if (model === undefined) return context.json({ ...priceList(desk.list(), page), ...body }, 200);
      const asked = questionsFor(model, targets(), wallMs());
      const names = new Set([model, ...asked.map(({ question }) => question.model)].map((each) => each.toLowerCase()));
      const fitting = desk.list().filter(({ override }) => names.has(override.model.toLowerCase()));
      const atTargets = asked.map((one) => targetPriceBody(one, desk));
      return context.json({ ...priceList(fitting, page), targets: atTargets, ...body }, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(listQuery.shape, ALLOWED, context.req.query());
    },
  );

  app.openapi(setRoute, async (context) => {
    const override = readBody(context.req.valid('json'));
    const desk = await prices();
    const setting = desk.set(override, auditOriginOf(context), revisionOf(context)).catch(couldNotKeep);
    const outcome = await orConflict('price', setting);
    const key = overrideKey(override);
    const listed = desk.list().find((each) => each.setBy === 'api' && overrideKey(each.override) === key);
    const inForce = listed ?? { setBy: 'api', override, updatedAtMs: null, revision: 1, counts: true };
    context.header('etag', `"${inForce.revision}"`);
    const body = {
      price: setPriceBody(inForce),
      usage_kept: usage() !== null,
      warnings: [...warningsFor(override, targets()), ...unknownModel(override, { targets, wallMs })],
    };
    return outcome === 'added' ? context.json(body, 201) : context.json(body, 200);
  });

  app.openapi(
    removeRoute,
    async (context) => {
      const { model, provider = null } = context.req.valid('query');
      const desk = await prices();
      const removing = desk
        .remove({ model, provider }, auditOriginOf(context), revisionOf(context))
        .catch(couldNotKeep);
      const removed = await orConflict('price', removing);
      if (removed === null) throw notSet({ model, provider }, desk);
      const body = {
        removed: { model: removed.model, provider: removed.provider },
        message: removedText(removed, desk),
      };
      return context.json(body, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(removeQuery.shape, ALLOWED, context.req.query());
    },
  );
}

function priceList(all: readonly ListedPrice[], page: Parameters<typeof pageOf>[2]) {
  // Of one name the API and the file may both set a price.
  const keyOf = ({ override: { model, provider }, setBy }: ListedPrice): string =>
    [model.toLowerCase(), (provider ?? '').toLowerCase(), setBy].join('\n');
  const { items, next_cursor } = pageOf(all, keyOf, page);
  return { prices: items.map(setPriceBody), next_cursor };
}

function readBody(body: unknown): PriceOverride {
  if (!isObject(body)) {
    throw new AdminError(400, 'invalid_price', `The body is ${shown(body)}: it should be one JSON object.`);
  }
  const reading = readOverride(body, 'the request');
  if (reading.ok) return reading.value;
  throw refuseForAll(reading.problems, 'invalid_price');
}

/** What is allowed but probably not meant. */
function warningsFor({ provider }: PriceOverride, views: readonly TargetView[]): string[] {
  const names = new Set(views.flatMap(({ target }) => [target.id.toLowerCase(), target.provider.toLowerCase()]));
  if (provider === null || names.has(provider.toLowerCase())) return [];
  return [`No target and no provider is called "${provider}" now; there are: ${[...names].sort().join(', ')}.`];
}

/** A price is of a model as its servers call it: for a mistyped one it would count for nothing. */
function unknownModel({ model, provider }: PriceOverride, known: Pick<KnownModels, 'targets' | 'wallMs'>): string[] {
  // Of a provider that there is not, that is said.
  const sellers = known.targets().filter(({ target }) => provider === null || isNamed(target, provider));
  if (sellers.length === 0 || serverNamesOf(model, { ...known, targets: () => sellers }).length > 0) return [];
  return [`${noTargetHas(model, known)} The price counts once one has it.`];
}

const isNamed = ({ id, provider }: TargetView['target'], name: string): boolean =>
  [id, provider].some((each) => each.toLowerCase() === name.toLowerCase());

function couldNotKeep(error: unknown): never {
  if (error instanceof RevisionConflict || error instanceof StoreUnavailable) throw error;
  throw new AdminError(500, 'price_not_kept', 'The store took nothing, so the prices are as they were. See the log.');
}

const nameText = ({ model, provider }: PriceName): string =>
  `"${model}" ${provider === null ? 'at every target' : `at "${provider}"`}`;

function isConfigured(of: PriceName, desk: PriceDesk): boolean {
  return desk.list().some(({ setBy, override }) => setBy === 'yaml' && overrideKey(override) === overrideKey(of));
}

function notSet(of: PriceName, desk: PriceDesk): AdminError {
  const fix = isConfigured(of, desk)
    ? 'The YAML file does: remove it there.'
    : `GET ${PATH} lists those that were set, each with its provider.`;
  return new AdminError(404, 'price_not_set', `This API sets no price for ${nameText(of)}. ${fix}`);
}

function removedText(removed: PriceName, desk: PriceDesk): string {
  const after = isConfigured(removed, desk)
    ? 'the one of the YAML file counts again'
    : 'what else is known counts again';
  return `The price for ${nameText(removed)} is removed; ${after}.`;
}

function setPriceBody({ override, setBy, updatedAtMs, revision, counts }: ListedPrice): z.infer<typeof setPriceSchema> {
  return {
    model: override.model,
    provider: override.provider,
    ...pricePart(override.price),
    set_by: setBy,
    updated_at: updatedAtMs === null ? null : new Date(updatedAtMs).toISOString(),
    revision,
    counts,
  };
}

function targetPriceBody(
  { view, question, offered }: TargetPriceQuestion,
  desk: PriceDesk,
): z.infer<typeof targetPriceSchema> {
  const { price, set } = desk.find(question);
  const { id, provider, place } = view.target;
  return {
    target: id,
    provider,
    place,
    model: question.model,
    offered,
    source: price?.source ?? 'unknown',
    set_by: set?.setBy ?? null,
    set_for: set === null ? null : { model: set.override.model, provider: set.override.provider },
    price: price === null ? null : pricePart(price),
  };
}

type PricePart = NonNullable<z.infer<typeof targetPriceSchema>['price']>;

const pricePart = (price: PriceOverride['price']): PricePart => priceFields(price) as PricePart;
