import type { PlaceOf } from '../core/price-fields.ts';
import {
  type LocalRate,
  type PriceOverride,
  powerRate,
  readLocalRates,
  readOverrides,
} from '../core/price-override.ts';
import type { Problem, Reading } from '../core/problem.ts';
import type { Values } from './schema.ts';
import type { YamlFile, YamlList } from './yaml-file.ts';

/** What the file says of prices, checked; what is wrong with it goes into `problems`. */
export interface PriceSpecs {
  readonly prices: readonly PriceOverride[];
  readonly localRates: readonly LocalRate[];
}

/** `prices:`, `local_rates:` and the settings' rate. With anything wrong in a list nothing of it counts. */
export function readPrices(yaml: YamlFile, label: string, power: PowerSettings, problems: Problem[]): PriceSpecs {
  const rates = listOr(yaml.localRates, readLocalRates, label, problems);
  return {
    prices: listOr(yaml.prices, readOverrides, label, problems),
    localRates: withPowerRate(rates, power, (index) => placeIn(yaml.localRates, label, index), problems),
  };
}

type PowerSettings = Pick<Values, 'localWatts' | 'kwhUsd'>;

function placeIn(list: YamlList | null, label: string, index: number | null): string {
  return `${label} line ${(index === null ? null : list?.lines[index]) ?? list?.line ?? 1}`;
}

function listOr<Item>(
  list: YamlList | null,
  read: (value: unknown, placeOf: PlaceOf) => Reading<readonly Item[]>,
  label: string,
  problems: Problem[],
): readonly Item[] {
  if (list === null) return [];
  const reading = read(list.value, (index) => placeIn(list, label, index));
  if (reading.ok) return reading.value;
  problems.push(...reading.problems);
  return [];
}

/** Two rates for all local servers are one too many. */
function withPowerRate(
  rates: readonly LocalRate[],
  { localWatts, kwhUsd }: PowerSettings,
  placeOf: PlaceOf,
  problems: Problem[],
): readonly LocalRate[] {
  if (localWatts === null || kwhUsd === null) return rates;
  const same = rates.findIndex(({ provider }) => provider === null);
  if (same === -1) return [...rates, powerRate(localWatts, kwhUsd)];
  problems.push({
    ...{ where: placeOf(same), name: `local_rates[${same}]`, seen: null, allowed: null },
    message: 'it is for all local servers, and so is SWARMROUTER_LOCAL_WATTS',
    fix: 'keep one of the two, or name a provider',
  });
  return rates;
}
