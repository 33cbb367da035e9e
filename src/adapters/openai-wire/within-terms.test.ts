import { describe, expect, test } from 'bun:test';
import type { SpendingTerms } from '../../core/billing.ts';
import { ANYONE, type Caller } from '../../core/caller.ts';
import { ANYTHING } from '../../core/client-key.ts';
import { notSentOn, withinTerms } from './within-terms.ts';

const KEY: Caller = { ...ANYONE, kind: 'key', keyId: 'k' };
const LISTED: Caller = { ...KEY, policies: { ...ANYTHING, models: ['a'] } };
const FREE: SpendingTerms = { answerTokens: null, most: null };
const TEN: SpendingTerms = { answerTokens: 10, most: null };
const PRICED: SpendingTerms = {
  answerTokens: null,
  most: { prompt: 0.15, completion: 2, request: 0.005, image: null },
};

/** The names of what is taken out, and what is set. */
const changes = (body: Record<string, unknown>, caller: Caller, terms: SpendingTerms | null) =>
  withinTerms({ body, caller }, terms, 'max_completion_tokens');

const OTHER_MODELS = { models: ['b'], route: 'fallback', preset: 'p' };
const EXTRAS = { plugins: [{ id: 'web' }], web_search_options: {} };
const gone = (...names: string[]) => Object.fromEntries(names.map((name) => [name, undefined]));

describe('what a caller may not have beside the model that was checked', () => {
  test('who needs no key and pays no bill has everything', () => {
    expect(changes({ ...OTHER_MODELS, ...EXTRAS, service_tier: 'priority' }, ANYONE, null)).toEqual({});
  });

  test('no key may name further models', () => {
    const models = gone('models', 'route', 'preset');
    expect(changes({ ...OTHER_MODELS, ...EXTRAS, n_predict: 5 }, KEY, null)).toEqual(models);
  });

  test('a key with a list of models, and who pays from a hard budget, gets no work that is charged apart', () => {
    const all = gone('models', 'route', 'preset', 'plugins', 'web_search_options');
    expect(changes({ ...OTHER_MODELS, ...EXTRAS }, LISTED, null)).toEqual(all);
    expect(changes({ ...OTHER_MODELS, ...EXTRAS }, KEY, FREE)).toEqual(all);
    expect(changes({ ...OTHER_MODELS, ...EXTRAS }, ANYONE, FREE)).toEqual(all);
  });

  test('who pays from a hard budget pays the published price', () => {
    expect(changes({ service_tier: 'priority' }, KEY, FREE)).toEqual(gone('service_tier'));
    expect(changes({ service_tier: 'flex' }, KEY, FREE)).toEqual({});
    const dearer = { speed: 'fast', inference_geo: 'us', image_config: { image_size: '4K' } };
    expect(changes(dearer, KEY, FREE)).toEqual(gone('speed', 'inference_geo', 'image_config'));
    expect(changes(dearer, KEY, null)).toEqual({});
  });

  test('of the tools of who pays from a hard budget those stay that the client runs itself', () => {
    const own = { type: 'function', function: { name: 'f' } };
    expect(changes({ tools: [own] }, KEY, FREE)).toEqual({});
    expect(changes({ tools: [own, { type: 'web_search' }] }, KEY, FREE)).toEqual({ tools: [own] });
    const searching = { tools: [{ type: 'openrouter:web_search' }], tool_choice: 'required' };
    expect(changes(searching, KEY, FREE)).toEqual(gone('tools', 'tool_choice'));
  });
});

test('who pays from a hard budget makes no prompt with a template of its own, and keeps the switches of the model’s', () => {
  const makers = { chat_template: 'x', mm_processor_kwargs: { max_pixels: 1e9 }, media_io_kwargs: {} };
  expect(changes(makers, KEY, FREE)).toEqual(gone('chat_template', 'mm_processor_kwargs', 'media_io_kwargs'));
  expect(changes(makers, KEY, null)).toEqual({});
  const switches = { enable_thinking: false, reasoning_effort: 'high', budget: 5 };
  expect(changes({ chat_template_kwargs: switches }, KEY, FREE)).toEqual({});
  const more = { ...switches, chat_template: 'x', documents: ['a'], note: '{{ a }}' };
  expect(changes({ chat_template_kwargs: more }, KEY, FREE)).toEqual({ chat_template_kwargs: switches });
  expect(changes({ chat_template_kwargs: { chat_template: 'x' } }, KEY, FREE)).toEqual(gone('chat_template_kwargs'));
});

describe('the provider at a broker of providers', () => {
  const provider = (asked: object | undefined, terms = PRICED) =>
    withinTerms({ body: asked === undefined ? {} : { provider: asked }, caller: KEY }, terms, 'max_tokens', true)[
      'provider'
    ];
  const MOST = { prompt: 0.150000001, completion: 2.000000001, request: expect.closeTo(0.005, 8) };

  test('asks no more than what was set aside from a budget in dollars, whatever the client wants', () => {
    expect(provider(undefined)).toEqual({ max_price: MOST });
    const dear = { order: ['dear'], only: ['dear'], sort: 'throughput', allow_fallbacks: false };
    expect(provider({ ...dear, max_price: { prompt: 99, completion: '9' } })).toEqual({ max_price: MOST });
  });

  test('is still one that keeps nothing, or asks even less, if the client wants that', () => {
    const wishes = { zdr: true, data_collection: 'deny', ignore: ['x'] };
    expect(provider({ ...wishes, max_price: { prompt: 0.1 } })).toEqual({
      ...wishes,
      max_price: { ...MOST, prompt: 0.1 },
    });
  });

  test('asks no more for a picture than was set aside for one, where there are pictures', () => {
    const withPictures = { answerTokens: null, most: { prompt: 0.15, completion: 2, request: 0, image: 0.002 } };
    const most = { ...MOST, request: 1e-9, image: expect.closeTo(0.002, 8) };
    expect(provider({ max_price: { image: 5, request: 5 } }, withPictures)).toEqual({ max_price: most });
    expect(provider({ max_price: { image: '0.001', request: 0 } }, withPictures)).toEqual({
      max_price: { ...most, image: 0.001, request: 0 },
    });
  });

  test('is the client’s own affair where no price was reckoned with', () => {
    expect(provider({ order: ['dear'] }, FREE)).toBeUndefined();
    expect(changes({}, KEY, PRICED)).toEqual({});
    // A target of another kind may be such a broker too: its client says so.
    expect(changes({ provider: { order: ['dear'] } }, KEY, PRICED)).toEqual({ provider: { max_price: MOST } });
  });
});

describe('the limit of an answer, one under one name', () => {
  test('is set where the client sets none, as the server calls it', () => {
    expect(changes({}, KEY, TEN)).toEqual({ max_completion_tokens: 10 });
  });

  test('keeps the name that the client gave it', () => {
    expect(changes({ max_tokens: 10 }, KEY, TEN)).toEqual({ max_tokens: 10 });
  });

  test('takes the place of what is no limit', () => {
    for (const max_tokens of [-1, 0, '100', null, 1e30]) {
      expect(changes({ max_tokens }, KEY, TEN)).toEqual({ max_tokens: undefined, max_completion_tokens: 10 });
    }
  });

  test('stands alone: other names for the same do not get through', () => {
    const body = {
      max_tokens: 10,
      max_completion_tokens: 'x',
      n_predict: 9_999,
      num_predict: -1,
      max_output_tokens: 7,
    };
    expect(changes(body, KEY, TEN)).toEqual({
      ...{ max_tokens: 10, max_completion_tokens: undefined },
      ...gone('n_predict', 'num_predict', 'max_output_tokens'),
    });
  });

  test('is the client’s own affair where the answer is free', () => {
    expect(changes({ max_tokens: 99, n_predict: 5 }, KEY, FREE)).toEqual(gone('n_predict'));
    expect(changes({}, KEY, FREE)).toEqual({});
  });
});

describe('what is not sent on', () => {
  const names = (body: Record<string, unknown>, terms = PRICED) => notSentOn(body, changes(body, KEY, terms));

  test('is known by its names, of a provider by those of its members', () => {
    expect(names({ ...OTHER_MODELS, ...EXTRAS, service_tier: 'priority' })).toEqual([
      ...['models', 'route', 'preset', 'plugins', 'web_search_options', 'service_tier'],
    ]);
    expect(names({ provider: { order: ['dear'], sort: 'price', zdr: true } })).toEqual([
      'provider.order',
      'provider.sort',
    ]);
    expect(names({ provider: { 'in\nvented': 1 } })).toEqual(['provider']);
    expect(names({ provider: 'dear' })).toEqual(['provider']);
    expect(names({ tools: [{ type: 'function' }, { type: 'web_search' }], n_predict: 5 }, TEN)).toEqual([
      'tools',
      'n_predict',
    ]);
    expect(names({ chat_template_kwargs: { documents: ['a'], enable_thinking: true } })).toEqual([
      'chat_template_kwargs',
    ]);
  });

  test('is nothing where all of it is, and where a limit has another name', () => {
    const kept = { tools: [{ type: 'function' }], service_tier: 'flex', provider: { zdr: true, max_price: {} } };
    expect(names({ ...kept, max_tokens: 10, max_completion_tokens: 10 }, { ...PRICED, ...TEN })).toEqual([]);
    expect(names(kept)).toEqual([]);
  });
});
