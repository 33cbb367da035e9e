import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { type AuditEvent, systemOrigin } from '../../core/audit.ts';
import { RevisionConflict } from '../../core/key-store.ts';
import { tokenPrice } from '../../core/price.ts';
import { overrideFields, overrideKey, type PriceOverride } from '../../core/price-override.ts';
import type { PriceQuestion, PriceStore, StoredPrice } from '../../core/prices.ts';
import { OperatorPrices } from './operator-prices.ts';

const NOTHING_CONFIGURED = { prices: [], localRates: [], compareWith: new Map<string, string>() };

const BY = systemOrigin('test');

const target: PriceQuestion['target'] = {
  ...{ id: 'groq', provider: 'house', adapterKind: 'openai-compatible', place: 'cloud' },
  ...{ baseUrl: 'https://llm.example.com/v1', deployments: new Map() },
};

const override = (model: string, usd: number, provider: string | null = null): PriceOverride => ({
  model,
  provider,
  price: tokenPrice('override', { input: usd * 1e9, output: usd * 1e9 }),
});

/** Keeps prices as a table does: one a provider and model, written at its revision some time after it was asked to. */
class Shelf implements PriceStore {
  readonly rows = new Map<string, StoredPrice>();
  readonly events: AuditEvent[] = [];
  broken = false;

  async set(price: StoredPrice, event: AuditEvent): Promise<void> {
    await this.#work();
    this.#check(price, price.revision - 1);
    this.events.push(event);
    this.rows.set(overrideKey(price), price);
  }

  async remove(of: Pick<StoredPrice, 'provider' | 'model' | 'revision'>, event: AuditEvent): Promise<void> {
    await this.#work();
    this.#check(of, of.revision);
    this.events.push(event);
    this.rows.delete(overrideKey(of));
  }

  async all(): Promise<readonly StoredPrice[]> {
    return [...this.rows.values()];
  }

  #check(of: Pick<StoredPrice, 'provider' | 'model'>, revision: number): void {
    if ((this.rows.get(overrideKey(of))?.revision ?? 0) !== revision) throw new RevisionConflict('too late');
  }

  async #work(): Promise<void> {
    await Promise.resolve();
    if (this.broken) throw new Error('the disk is full');
  }
}

function pricesOf(store = new Shelf()) {
  const errors: string[] = [];
  const silent = (): void => undefined;
  const logger = {
    ...{ debug: silent, info: silent, warn: silent },
    error: (_fields: object, text: string): void => void errors.push(text),
  };
  let nowMs = 1_000;
  const prices = new OperatorPrices({
    configured: NOTHING_CONFIGURED,
    store: async () => store,
    wallMs: () => nowMs++,
    logger,
  });
  const usd = (model: string): number | null => {
    const price = prices.priceOf({ target, model, listed: null, answeredBy: '', nowMs: 0 });
    return price === null ? null : price.rates.input / 1e9;
  };
  return { prices, store, errors, usd };
}

describe('prices that are set while the gateway runs', () => {
  test('count when they are kept, and not before', async () => {
    const { prices, store, errors, usd } = pricesOf();
    expect(await prices.set(override('M', 1), BY)).toBe('added');
    expect(await prices.set(override('m', 2), BY)).toBe('replaced');
    store.broken = true;
    await expect(prices.set(override('m', 3), BY)).rejects.toThrow('the disk is full');
    await expect(prices.remove({ model: 'm', provider: null }, BY)).rejects.toThrow('the disk is full');
    expect([usd('m'), prices.list().length, errors.length]).toEqual([2, 1, 2]);
    store.broken = false;
    expect(await prices.remove({ model: 'm', provider: null }, BY)).toMatchObject({ model: 'm' });
    expect(await prices.remove({ model: 'm', provider: null }, BY)).toBeNull();
    expect([usd('m'), store.rows.size]).toEqual([null, 0]);
    const price = (usdPerMtok: number) => ({ input_usd_per_mtok: usdPerMtok, output_usd_per_mtok: usdPerMtok });
    expect(store.events.map(({ action, subject, before, after }) => [action, subject, before, after])).toEqual([
      ['price.add', 'price:*/m', null, { model: 'M', ...price(1) }],
      ['price.replace', 'price:*/m', { model: 'M', ...price(1) }, { model: 'm', ...price(2) }],
      ['price.remove', 'price:*/m', { model: 'm', ...price(2) }, null],
    ]);
  });

  test('are the same in the store as in force, however many are set and removed at once', async () => {
    const name = fc.record({ model: fc.constantFrom('a', 'A', 'b'), provider: fc.constantFrom(null, 'groq', 'GROQ') });
    const change = fc.tuple(name, fc.option(fc.nat(9)));
    await fc.assert(
      fc.asyncProperty(fc.array(change), async (changes) => {
        const { prices, store } = pricesOf();
        await Promise.all(
          changes.map(([of, usd]) =>
            usd === null ? prices.remove(of, BY) : prices.set(override(of.model, usd, of.provider), BY),
          ),
        );
        const restarted = pricesOf(store);
        await restarted.prices.refresh(() => store.all());
        expect(restarted.prices.list()).toEqual(prices.list());
        expect([restarted.usd('a'), restarted.usd('b')]).toEqual(
          ['a', 'b'].map((model) => {
            const found = prices.find({ target, model, listed: null, answeredBy: '', nowMs: 0 }).price;
            return found === null ? null : found.rates.input / 1e9;
          }),
        );
      }),
    );
  });

  test('all count when they come at once from several gateways and ask for no certain revision', async () => {
    const store = new Shelf();
    const gateways = Array.from({ length: 4 }, () => pricesOf(store));
    await Promise.all(gateways.map(({ prices }, at) => prices.set(override('m', at), BY)));
    expect([...store.rows.values()]).toMatchObject([{ revision: 4 }]);
    const atOne = gateways.map(({ prices }) => prices.set(override('m', 9), BY, 4).catch((error: Error) => error.name));
    expect((await Promise.all(atOne)).toSorted()).toEqual([...Array(3).fill('RevisionConflict'), 'replaced']);
    expect(gateways.flatMap(({ errors }) => errors)).toEqual([]);
  });

  test('that cannot be read any more are left out, and said; others count, and those of other tenants do not', async () => {
    const { prices, errors, usd } = pricesOf();
    const row = (organisationId: string, model: string, rates: unknown): StoredPrice => {
      return { organisationId, provider: null, model, rates, updatedAtMs: 1, revision: 1 };
    };
    const stored = [
      row('default', 'broken', { model: 'broken', input_usd_per_mtok: 'much' }),
      row('default', 'worse', 7),
      row('default', 'good', overrideFields(override('good', 1))),
      row('other', 'theirs', overrideFields(override('theirs', 1))),
    ];
    await prices.refresh(async () => stored);
    expect([usd('broken'), usd('good'), usd('theirs'), errors.length]).toEqual([null, 1, null, 2]);
  });

  test('count before those of a changed file', async () => {
    const { prices, usd } = pricesOf();
    await prices.set(override('m', 1), BY);
    prices.configure({ ...NOTHING_CONFIGURED, prices: [override('M', 2, 'groq'), override('n', 3)] });
    expect([usd('m'), usd('n')]).toEqual([1, 3]);
    expect(prices.list().map(({ override: { model }, counts }) => [model, counts])).toEqual([
      ['m', true],
      ['M', true],
      ['n', true],
    ]);
  });
});
