import { fieldOf } from './admin-client.ts';
import { listOf, rate, seconds, show } from './cells.ts';
import { table } from './table.ts';

const HEADING = [
  'TARGET',
  'MODEL',
  'PREFILL tok/s',
  'DECODE tok/s',
  'LOAD s',
  'NETWORK s',
  'SLOTS',
  'CONTEXT',
  'ANSWERS',
];

/** What real traffic taught about each model, of a reply of /admin/status; null: nothing yet. */
export function learnedTable(body: unknown, bold: (text: string) => string): string | null {
  const rows = listOf(fieldOf(body, 'targets')).flatMap((target) =>
    listOf(fieldOf(target, 'learned')).map((learned) => row(show(fieldOf(target, 'id')), learned)),
  );
  return rows.length === 0 ? null : table([HEADING.map(bold), ...rows]);
}

function row(target: string, learned: unknown): string[] {
  const of = (name: string): unknown => fieldOf(learned, name);
  return [
    target,
    show(of('model')),
    rate(of('prefill_tokens_per_second')),
    rate(of('decode_tokens_per_second')),
    seconds(of('load_seconds')),
    seconds(of('network_seconds')),
    show(of('slots')),
    show(of('context_length')),
    show(of('samples')),
  ];
}
