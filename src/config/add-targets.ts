import { isDeepStrictEqual } from 'node:util';
import { type Document, isMap, isSeq, LineCounter, parseDocument, type YAMLSeq } from 'yaml';
import { isObject, listOf } from '../core/json-shape.ts';

/**
 * The text of a `swarmrouter.yaml` with the entries of `fragment` (a text with `targets:` alone) at the end of its
 * own. Nothing else of it changes, comments and spacing included, unless its targets are written in a form that
 * lines cannot be put into (`[{…}]`); then comments stay and spacing may change. `text` must be valid. Throws when
 * it cannot be done.
 */
export function addTargets(text: string, fragment: string): string {
  const windows = text.includes('\r\n');
  const given = windows ? text.replaceAll('\r\n', '\n') : text;
  const wanted = withTargets(parseDocument(given).toJS(), parseDocument(fragment).toJS());
  const inserted = insertLines(given, fragment);
  // Written by hand, a file can have forms that nobody thought of: what was put in is read again.
  const result = inserted !== null && means(inserted, wanted) ? inserted : writtenAnew(given, fragment);
  if (!means(result, wanted)) throw new Error('its targets are written in a form that nothing can be added to');
  return windows ? result.replaceAll('\n', '\r\n') : result;
}

function withTargets(old: unknown, more: unknown): unknown {
  const settings = isObject(old) ? old : {};
  return { ...settings, targets: [...listOf(settings['targets']), ...listOf(isObject(more) ? more['targets'] : [])] };
}

function means(text: string, wanted: unknown): boolean {
  const document = parseDocument(text);
  return document.errors.length === 0 && isDeepStrictEqual(document.toJS(), wanted);
}

/** Null: its targets are not lines. */
function insertLines(text: string, fragment: string): string | null {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  if (!hasTargets(document)) return `${endedByNewline(text)}${text.trim() === '' ? '' : '\n'}${fragment}`;
  const targets = document.get('targets');
  if (!isSeq(targets) || targets.flow === true || !targets.range) return null;
  const end = endOfLast(targets, text);
  const margin = ' '.repeat(lines.linePos(targets.range[0]).col - 1);
  const entries = fragment.replace(/^targets:\n/, '').replaceAll(/^ {2}/gm, margin);
  return `${endedByNewline(text.slice(0, end))}${entries}${text.slice(end)}`;
}

const hasTargets = (document: Document): boolean => isMap(document.contents) && document.has('targets');

/** Behind the line in which the last entry ends. */
function endOfLast(targets: YAMLSeq, text: string): number {
  const last = targets.items.at(-1) as { readonly range?: readonly [number, number, number] | null } | undefined;
  const valueEnd = last?.range?.[1] ?? text.length;
  if (text[valueEnd - 1] === '\n') return valueEnd;
  const newline = text.indexOf('\n', valueEnd);
  return newline === -1 ? text.length : newline + 1;
}

const endedByNewline = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

function writtenAnew(text: string, fragment: string): string {
  const document = parseDocument(text);
  const more = parseDocument(fragment).get('targets') as YAMLSeq;
  const targets = document.get('targets');
  if (isSeq(targets)) targets.items.push(...more.items);
  else document.set('targets', more);
  return document.toString({ lineWidth: 0 });
}
