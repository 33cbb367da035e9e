import type { Price } from '../../core/price.ts';

/** What a model costs at its times. The last period that is in force counts. */
export type Tariff = readonly TariffPeriod[];

export interface TariffPeriod {
  /** Wall clock, ms since the Unix epoch, included; null: always. */
  readonly fromMs: number | null;
  /** Minutes of the UTC day, the second not included; null: all day. */
  readonly minutes: readonly [number, number] | null;
  readonly price: Price;
}

const MS_A_DAY = 86_400_000;
const MS_A_MINUTE = 60_000;

/** Null: none of its periods is in force yet. */
export function priceAt(tariff: Tariff, nowMs: number): Price | null {
  for (let index = tariff.length - 1; index >= 0; index--) {
    const period = tariff[index];
    if (period !== undefined && isInForce(period, nowMs)) return period.price;
  }
  return null;
}

function isInForce({ fromMs, minutes }: TariffPeriod, nowMs: number): boolean {
  if (fromMs !== null && nowMs < fromMs) return false;
  if (minutes === null) return true;
  const [start, end] = minutes;
  const minute = (nowMs % MS_A_DAY) / MS_A_MINUTE;
  return start <= end ? minute >= start && minute < end : minute >= start || minute < end;
}
