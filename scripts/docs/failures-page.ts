import { FAILURE_RULES, type FailureRule } from '../../src/core/failure.ts';
import { generatedNote, markdownTable } from './markdown.ts';

const INTRODUCTION = `# Failures

Every failure of one attempt at a target is one of these kinds. The kind decides what happens next; the status, type and code are what the client gets in OpenAI's error envelope when no other target could answer.

- **Next target**: may another target hide it? \`no\`: it is the request's own fault, or the client's own decision.
- **Same target**: may it be asked again after a pause, when there is no other?
- **Health**: \`down\` takes the target out of rotation until a probe succeeds, \`counts\` does so when there are several in a row, \`no\` says nothing about its health.`;

/** docs/reference/failures.md */
export function failuresPage(): string {
  const yesNo = (value: boolean): string => (value ? 'yes' : 'no');
  const rules: readonly (readonly [string, FailureRule])[] = Object.entries(FAILURE_RULES);
  const rows = rules.map(([kind, rule]) => [
    `\`${kind}\``,
    rule.meaning,
    yesNo(rule.tryNext),
    yesNo(rule.trySameAgain),
    rule.hurtsHealth,
    String(rule.clientStatus),
    `\`${rule.clientType}\``,
    `\`${rule.clientCode}\``,
  ]);
  const heading = ['Kind', 'Meaning', 'Next target', 'Same target', 'Health', 'Status', '`type`', '`code`'];
  return `${[generatedNote('src/core/failure.ts'), INTRODUCTION, markdownTable(heading, rows)].join('\n\n')}\n`;
}
