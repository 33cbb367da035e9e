// biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters
const COLOURS = /\u001b\[\d+m/g;

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters
const EACH_COLOUR = /(\u001b\[\d+m)/;

const width = (cell: string): number => cell.replaceAll(COLOURS, '').length;

/** At most this many columns of a line, without breaking a colour in two. */
export function clip(line: string, columns: number): string {
  if (width(line) <= columns) return line;
  let room = Math.max(0, columns - 1);
  const kept = line.split(EACH_COLOUR).map((piece) => {
    if (piece.startsWith('\u001b')) return piece;
    const shown = piece.slice(0, room);
    room -= shown.length;
    return shown;
  });
  return `${kept.join('')}…`;
}

/** Columns aligned with two spaces between them; the first row is the heading. Colours do not count as width. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, width(cell));
  }
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)))
      .join('  ')
      .trimEnd();
  return rows.map(line).join('\n');
}
