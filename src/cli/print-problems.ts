import { describeProblem } from '../config/problem.ts';
import type { Problem } from '../core/problem.ts';

/** Every problem, numbered when there are several. */
export function problemsText(problems: readonly Problem[], of = 'the settings'): string {
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  const lines = problems.map(
    (problem, index) => `${problems.length === 1 ? '' : `${index + 1}. `}${describeProblem(problem)}`,
  );
  return [`swarmrouter: there is ${count} with ${of}`.replace(/is (\d)/, 'are $1').concat(':'), ...lines].join('\n');
}
