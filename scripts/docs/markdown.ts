/** A table in Markdown; what would break a cell is escaped. */
export function markdownTable(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [line(heading), `|${' --- |'.repeat(heading.length)}`, ...rows.map(line)].join('\n');
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replace(/\s*\n\s*/g, ' ');

/** Said at the top of every generated page, so that nobody edits it by hand. */
export const generatedNote = (source: string): string =>
  `<!-- Generated from ${source} by \`npm run docs\`. Do not edit by hand. -->`;
