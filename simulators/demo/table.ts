import type { Answer } from './client.ts';

/** Who answered what, and why: one row for each target and reason. Pure. */
export function answerTable(answers: readonly Answer[]): string[] {
  const rows = new Map<
    string,
    { target: string; place: string; model: string; why: string; count: number; totalMs: number }
  >();
  for (const answer of answers) {
    const why = inShort(answer);
    const key = `${answer.target}|${why}`;
    const row = rows.get(key) ?? {
      target: answer.target,
      place: answer.place,
      model: answer.model,
      why,
      count: 0,
      totalMs: 0,
    };
    row.count++;
    row.totalMs += answer.durationMs;
    rows.set(key, row);
  }
  const cells = [...rows.values()]
    .sort((a, b) => b.place.localeCompare(a.place) || a.target.localeCompare(b.target) || b.count - a.count)
    .map((row) => [
      row.target,
      row.place,
      row.model,
      String(row.count),
      `${Math.round(row.totalMs / row.count)} ms`,
      row.why,
    ]);
  return layOut([['who', 'where', 'model that answered', 'answers', 'mean time', 'why'], ...cells]);
}

/** The reason header without what changes from request to request. */
function inShort(answer: Answer): string {
  if (answer.status !== 200) return `refused with ${answer.status}`;
  const [why = ''] = answer.reason.split(';');
  const words = why.startsWith('local') ? 'local first: a slot was free' : why;
  return answer.attempts > 1 ? `${words} (another target had just failed, unseen)` : words;
}

function layOut(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
  const rule = `  ${widths.map((width) => '─'.repeat(width)).join('  ')}`;
  return [lines[0] ?? '', rule, ...lines.slice(1)];
}
