// How values of a reply whose shape is not known become cells of a table. What is missing is a `-`.

/** A server may name its model with the control characters of a terminal: none of them reaches one. */
const CONTROL = /\p{Cc}+/gu;

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export const show = (value: unknown): string => {
  if (typeof value === 'string' && value !== '') return value.replace(CONTROL, ' ');
  return typeof value === 'number' ? String(value) : '-';
};

const ofNumber = (write: (value: number) => string) => (value: unknown) =>
  typeof value === 'number' && Number.isFinite(value) ? write(value) : '-';

export const milliseconds = ofNumber((value) => `${Math.round(value)} ms`);
/** Without the unit, for columns of seconds: as many places as tell something. */
export const seconds = ofNumber((value) => (value === 0 ? '0' : value.toFixed(value < 1 ? 3 : 2)));
export const rate = ofNumber((value) => value.toFixed(value < 10 ? 1 : 0));
export const dollars = ofNumber((value) =>
  value === 0 ? '0' : `$${value < 0.01 ? value.toFixed(6) : value.toFixed(4)}`,
);

/** Plain digits: `6e-7` is no amount of money. */
const plain = (value: number, options: Intl.NumberFormatOptions): string =>
  `$${value.toLocaleString('en-US', { useGrouping: false, ...options })}`;
/** Nothing is rounded away: what is hidden here would be missing on a bill. */
export const wholeDollars = ofNumber((value) => plain(value, { maximumFractionDigits: 12 }));
/** To three digits, cents from a dollar on: local calls and small models cost less than a thousandth of a cent. */
export const roundDollars = ofNumber((value) =>
  value >= 1
    ? plain(value, { minimumFractionDigits: 2, maximumFractionDigits: 2 })
    : plain(value, { maximumSignificantDigits: 3 }),
);

export const duration = ofNumber((value) => {
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return value < 172_800 ? `${Math.round(value / 3600)} h` : `${Math.round(value / 86_400)} days`;
});

/** `2026-11-23T06:40:01.250Z` → `2026-11-23 06:40:01`. */
export const dateAndTime = (value: unknown): string => show(value).replace(/T(\d\d:\d\d:\d\d).*$/, ' $1');
/** `2026-11-23T06:40:01.250Z` → `06:40:01`. */
export const timeOfDay = (value: unknown): string => /T(\d\d:\d\d:\d\d)/.exec(show(value))?.[1] ?? '-';
