import type { Problem } from '../core/problem.ts';

/** The problem as a person reads it, on a few lines. */
export function describeProblem(problem: Problem): string {
  const seen = problem.seen === null ? '' : ` = ${JSON.stringify(problem.seen)}`;
  const lines = [`${problem.name}${seen} (${problem.where}): ${problem.message}.`];
  if (problem.allowed !== null) lines.push(`  Allowed: ${problem.allowed}.`);
  lines.push(`  Fix: ${problem.fix}${problem.fix.startsWith('did you mean') ? '?' : '.'}`);
  return lines.join('\n');
}
