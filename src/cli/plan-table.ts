import { fieldOf } from './admin-client.ts';
import { dollars, listOf, seconds, show } from './cells.ts';
import { table } from './table.ts';

const TERMS = ['load', 'wait', 'prefill', 'decode', 'network'] as const;
const HEADING = [
  'TARGET',
  'PLACE',
  'MODEL',
  'SECONDS',
  ...TERMS.map((term) => term.toUpperCase()),
  'CACHED',
  'PRICE',
  'REASON',
];

/** The ranked steps of a plan with what each is expected to cost; `~`: nothing was measured there yet. */
export function stepsTable(steps: unknown, bold: (text: string) => string): string {
  return table([HEADING.map(bold), ...listOf(steps).map(stepRow)]);
}

function stepRow(step: unknown): string[] {
  const terms = fieldOf(step, 'terms');
  const total = seconds(fieldOf(step, 'seconds'));
  return [
    show(fieldOf(step, 'target')),
    show(fieldOf(step, 'place')),
    show(fieldOf(step, 'model')),
    isGuessed(step) ? `~${total}` : total,
    ...TERMS.map((term) => seconds(fieldOf(terms, term))),
    show(fieldOf(step, 'cached_tokens_estimate')),
    dollars(fieldOf(step, 'price_usd')),
    show(fieldOf(step, 'reason')),
  ];
}

/** Empty: all that is estimated was measured. */
export function stepsNote(steps: unknown): string[] {
  if (!listOf(steps).some(isGuessed)) return [];
  return ["~ nothing was measured there yet: the fleet's median stands in."];
}

function isGuessed(step: unknown): boolean {
  return typeof fieldOf(step, 'seconds') === 'number' && fieldOf(step, 'measured') === false;
}

/** `Left out:` and a line for each target; empty: none was. */
export function leftOutLines(leftOut: unknown): string[] {
  const lines = listOf(leftOut).map((left) => `  ${show(fieldOf(left, 'target'))}: ${show(fieldOf(left, 'reason'))}`);
  return lines.length === 0 ? [] : ['Left out:', ...lines];
}
