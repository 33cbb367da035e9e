import { isObject } from '../../core/json-shape.ts';
import type { SavedBook } from './speed-book.ts';

/** As many samples as a line looks at. */
const MOST_LENGTHS = 64;
const MOST_OUTPUTS = 128;
const MOST_NAME = 1_024;

type SavedPage = SavedBook['meters'][number];

/** What was kept over a restart, as far as it makes sense; pages that do not are left out. Null: none of it does. */
export function readSavedBook(value: unknown): SavedBook | null {
  if (!isObject(value) || value['version'] !== 1 || !Array.isArray(value['meters'])) return null;
  return { version: 1, meters: value['meters'].map(readPage).filter((page) => page !== null) };
}

function readPage(value: unknown): SavedPage | null {
  if (!isObject(value)) return null;
  const { key, place, model, samples } = value;
  const reading = readReading(value['reading']);
  const isNamed = isName(key) && isName(model) && (place === 'local' || place === 'cloud');
  if (!isNamed || reading === null || !isCount(samples)) return null;
  return {
    key,
    place,
    model,
    reading,
    writing: readWriting(value['writing']),
    loadSeconds: positiveOf(value['loadSeconds']),
    bytesPerToken: positiveOf(value['bytesPerToken']),
    outputTokens: readNumbers(value['outputTokens'], MOST_OUTPUTS),
    samples,
  };
}

function readReading(value: unknown): SavedPage['reading'] | null {
  if (!isObject(value) || !Array.isArray(value['lengths'])) return null;
  const { start, slope } = value;
  if (!isNumber(start) || !isNumber(slope)) return null;
  return { start, slope, lengths: readNumbers(value['lengths'], MOST_LENGTHS) };
}

function readNumbers(value: unknown, most: number): number[] {
  return Array.isArray(value) ? value.filter(isNumber).slice(0, most) : [];
}

function readWriting(value: unknown): SavedPage['writing'] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((entry) => {
    if (!Array.isArray(entry) || !entry.every(isNumber)) return [];
    const [beside, secondsPerToken, count] = entry as number[];
    if (beside === undefined || secondsPerToken === undefined || count === undefined) return [];
    return [[beside, secondsPerToken, count] as const];
  });
}

const isName = (value: unknown): value is string => typeof value === 'string' && value.length <= MOST_NAME;
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const isCount = (value: unknown): value is number => isNumber(value) && Number.isSafeInteger(value);
const positiveOf = (value: unknown): number | null => (isNumber(value) && value > 0 ? value : null);
