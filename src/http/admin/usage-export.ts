import { EXPORT_COLUMNS, type UsageRecord } from '../../core/usage-report.ts';

/** What a spreadsheet would take for a formula (OWASP, CSV injection): names of models come from clients. */
const FORMULA = /^[=+\-@\t\r]/;
const NEEDS_QUOTES = /[",\r\n]/;

/** One line a record, as they are asked for. CSV (RFC 4180) begins with the names of the columns. */
export function exportStream(records: AsyncIterable<UsageRecord>, format: 'csv' | 'json'): ReadableStream<Uint8Array> {
  const lines = (format === 'csv' ? csvLines(records) : jsonLines(records))[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await lines.next();
      if (done === true) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await lines.return?.(undefined);
    },
  });
}

async function* jsonLines(records: AsyncIterable<UsageRecord>): AsyncGenerator<string> {
  for await (const record of records) yield `${JSON.stringify(record)}\n`;
}

async function* csvLines(records: AsyncIterable<UsageRecord>): AsyncGenerator<string> {
  yield `${EXPORT_COLUMNS.join(',')}\r\n`;
  for await (const record of records) yield `${EXPORT_COLUMNS.map((name) => cell(record[name])).join(',')}\r\n`;
}

function cell(value: string | number | null): string {
  if (typeof value !== 'string') return value === null ? '' : String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
