/** What a spreadsheet would take for a formula (OWASP, CSV injection), wide signs too: names of models come from clients. */
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
const NEEDS_QUOTES = /[",\r\n]/;

type Cell = string | number | null;
type Records<Column extends string> = AsyncIterable<Readonly<Record<Column, Cell>>>;

/** One line a record, as they are asked for. CSV (RFC 4180) begins with the names of its columns, also where no record is. */
export function exportStream<Column extends string>(
  records: Records<Column>,
  format: 'csv' | 'json',
  columns: readonly Column[],
): ReadableStream<Uint8Array> {
  const lines = (format === 'csv' ? csvLines(records, columns) : jsonLines(records))[Symbol.asyncIterator]();
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

async function* jsonLines(records: Records<string>): AsyncGenerator<string> {
  for await (const record of records) yield `${JSON.stringify(record)}\n`;
}

async function* csvLines<Column extends string>(
  records: Records<Column>,
  columns: readonly Column[],
): AsyncGenerator<string> {
  yield `${columns.join(',')}\r\n`;
  for await (const record of records) yield `${columns.map((name) => cell(record[name])).join(',')}\r\n`;
}

function cell(value: Cell): string {
  if (typeof value !== 'string') return value === null ? '' : String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
