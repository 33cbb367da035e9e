import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { costOf } from './price.ts';
import { overrideFields, readLocalRates, readOverride, readOverrides } from './price-override.ts';
import type { Usage } from './usage.ts';

const WHERE = 'swarmrouter.yaml';
const PLACE = () => WHERE;
const usage: Usage = {
  promptTokens: 1_000_000,
  completionTokens: 1_000_000,
  cachedTokens: null,
  reasoningTokens: 0,
  costNanoUsd: null,
};

const problemsOf = (yaml: string): readonly object[] => {
  const reading = readOverrides(parse(yaml), PLACE);
  if (reading.ok) throw new Error('nothing was wrong');
  return reading.problems;
};

describe('prices as a person writes them', () => {
  test('become exact, in YAML and in JSON, classes without a price at the price of their side', () => {
    const reading = readOverrides(
      parse(`
        - model: House-70B
          provider: groq
          input_usd_per_mtok: 0.0375
          output_usd_per_mtok: "0.15"
          cached_input_usd_per_mtok: 0
          usd_per_request: 0.0001
        - { model: plain, input_usd_per_mtok: 1, output_usd_per_mtok: 2, provider: }
      `),
      PLACE,
    );
    if (!reading.ok) throw new Error('refused');
    expect(reading.value).toMatchObject([
      {
        provider: 'groq',
        model: 'House-70B',
        price: {
          rates: {
            input: 37_500_000,
            cachedInput: 0,
            audioInput: 37_500_000,
            output: 150_000_000,
            reasoning: 150_000_000,
          },
          callNanoUsd: 100_000,
          source: 'override',
        },
      },
      { provider: null, model: 'plain' },
    ]);
    expect(costOf(usage, reading.value[1]?.price ?? null).nanoUsd).toBe(3_000_000_000);
  });

  test('may rise with the length of the prompt', () => {
    const reading = readOverride(
      {
        model: 'long',
        input_usd_per_mtok: 1,
        output_usd_per_mtok: 2,
        tiers: [{ above_prompt_tokens: 200_000, input_usd_per_mtok: 2, output_usd_per_mtok: 3 }],
      },
      'the request',
    );
    if (!reading.ok) throw new Error('refused');
    expect(costOf(usage, reading.value.price).nanoUsd).toBe(5_000_000_000);
    expect(costOf({ ...usage, promptTokens: 200_000 }, reading.value.price).nanoUsd).toBe(2_200_000_000);
  });

  test('no list at all is no price', () => {
    expect(readOverrides(undefined, PLACE)).toEqual({ ok: true, value: [] });
    expect(readOverrides(null, PLACE)).toEqual({ ok: true, value: [] });
  });

  test('written out and read again they are the same', () => {
    const usd = fc.integer({ min: 0, max: 10_000_000 }).map((millionths) => millionths / 1e6);
    const rates = {
      input_usd_per_mtok: usd,
      output_usd_per_mtok: usd,
      cached_input_usd_per_mtok: usd,
      reasoning_usd_per_mtok: usd,
      audio_output_usd_per_mtok: usd,
    };
    const required = { requiredKeys: ['input_usd_per_mtok', 'output_usd_per_mtok'] as const };
    fc.assert(
      fc.property(
        fc.record(rates, { requiredKeys: [...required.requiredKeys] }),
        fc.record({ ...rates, above_prompt_tokens: fc.nat(1_000_000) }),
        usd,
        (fields, tier, usd_per_request) => {
          const written = { model: 'm', provider: 'p', ...fields, usd_per_request, tiers: [tier] };
          const first = readOverride(written, WHERE);
          if (!first.ok) throw new Error(JSON.stringify(first.problems));
          expect(readOverride(overrideFields(first.value), WHERE)).toEqual(first);
        },
      ),
    );
  });
});

describe('what is wrong with a price', () => {
  test('is said with the place, the value and what is allowed, and all of it at once', () => {
    expect(
      problemsOf(`
        - model: a
          input_usd_per_mtok: -1
          output_usd_per_mtok: free
          cached_usd_per_mtok: 1
        - input_usd_per_mtok: 0.0000000001
        - just text
      `),
    ).toEqual([
      {
        where: WHERE,
        name: 'prices[0].cached_usd_per_mtok',
        seen: null,
        message: 'there is no such field',
        allowed: expect.stringContaining('cached_input_usd_per_mtok'),
        fix: 'did you mean cached_input_usd_per_mtok',
      },
      {
        where: WHERE,
        name: 'prices[0].input_usd_per_mtok',
        seen: '-1',
        message: 'it is no such number',
        allowed: 'a number of US dollars from 0 to 1,000,000, at most 9 decimal places',
        fix: 'correct it',
      },
      expect.objectContaining({ name: 'prices[0].output_usd_per_mtok', seen: 'free' }),
      expect.objectContaining({ name: 'prices[1].model', seen: null, message: 'it is missing' }),
      expect.objectContaining({ name: 'prices[1].input_usd_per_mtok', seen: '1e-10' }),
      expect.objectContaining({ name: 'prices[1].output_usd_per_mtok', message: 'it is missing' }),
      expect.objectContaining({ name: 'prices[2]', seen: 'just text', message: 'it is not a mapping' }),
    ]);
  });

  test('is said of lists, names, tiers and of two prices for one model', () => {
    const price = 'input_usd_per_mtok: 1, output_usd_per_mtok: 2';
    expect(problemsOf('gpt-4o')).toMatchObject([{ name: 'prices', message: 'it is not a list', seen: 'gpt-4o' }]);
    expect(problemsOf(`- { model: [a], ${price} }`)).toMatchObject([{ name: 'prices[0].model', seen: 'a list' }]);
    expect(problemsOf(`- { model: "a\\nb", ${price} }`)).toMatchObject([{ message: 'it is no name' }]);
    expect(problemsOf(`- { model: a, ${price}, tiers: 3 }`)).toMatchObject([{ name: 'prices[0].tiers', seen: '3' }]);
    const tier = (above: string): string => `{ above_prompt_tokens: ${above}, ${price} }`;
    expect(problemsOf(`- { model: a, ${price}, tiers: [${tier('9')}, ${tier('9')}] }`)).toMatchObject([
      { name: 'prices[0].tiers', message: 'above_prompt_tokens does not rise from tier to tier' },
    ]);
    expect(problemsOf(`- { model: a, ${price}, tiers: [${tier('1.5')}] }`)).toMatchObject([
      { name: 'prices[0].tiers[0].above_prompt_tokens', seen: '1.5' },
    ]);
    expect(problemsOf(`- { model: a, ${price} }\n- { model: A, ${price} }`)).toMatchObject([
      { name: 'prices[1].model', message: 'prices[0] is for the same model', seen: 'A' },
    ]);
  });

  test('is found in whatever it is given, without a throw', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(typeof readOverrides(value, PLACE).ok).toBe('boolean');
        expect(typeof readOverrides([value], PLACE).ok).toBe('boolean');
        expect(readOverride({ model: 'a', input_usd_per_mtok: value }, WHERE).ok).toBe(false);
        expect(typeof readLocalRates([value], PLACE).ok).toBe('boolean');
      }),
    );
  });
});

describe('rates of local servers', () => {
  test('go by tokens, or by the power that they draw while they answer', () => {
    const reading = readLocalRates(
      parse(`
        - { provider: mac, input_usd_per_mtok: 0.01, output_usd_per_mtok: 0.02 }
        - { watts: 300, usd_per_kwh: 0.30 }
      `),
      PLACE,
    );
    if (!reading.ok) throw new Error('refused');
    const [tokens, power] = reading.value;
    expect(tokens).toMatchObject({ provider: 'mac', price: { source: 'local-rate', msFemtoUsd: 0 } });
    expect(costOf(usage, tokens?.price ?? null, 60_000).nanoUsd).toBe(30_000_000);
    // 300 W for an hour are 0.3 kWh, 0.09 USD.
    expect(costOf(usage, power?.price ?? null, 3_600_000)).toMatchObject({ nanoUsd: 90_000_000, source: 'local-rate' });
  });

  test('need both numbers, or say that none is there', () => {
    const problems = (yaml: string): readonly object[] => {
      const reading = readLocalRates(parse(yaml), PLACE);
      return reading.ok ? [] : reading.problems;
    };
    expect(problems('- watts: 300')).toMatchObject([{ name: 'local_rates[0].usd_per_kwh', fix: 'add usd_per_kwh' }]);
    expect(problems('- usd_per_kwh: 0.3')).toMatchObject([{ name: 'local_rates[0].watts' }]);
    expect(problems('- provider: mac')).toMatchObject([{ message: 'the entry says no price' }]);
    expect(problems('- input_usd_per_mtok: 1')).toMatchObject([{ name: 'local_rates[0].output_usd_per_mtok' }]);
    expect(problems('- { watts: -1, usd_per_kwh: 1000 }')).toMatchObject([{ seen: '-1' }, { seen: '1000' }]);
  });
});
