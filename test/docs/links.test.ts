import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { anchorsOf, markdownPages, proseOf, ROOT, readText } from './documents.ts';

/** `https:`, `mailto:` and the like lead out of the repository. */
const LEADS_OUT = /^[a-z][a-z0-9+.-]*:/i;

interface Link {
  readonly path: string;
  readonly anchor: string;
}

function linksOf(page: string): Link[] {
  const targets = [...proseOf(page).matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g)].map(([, target = '']) => target);
  return targets
    .filter((target) => !LEADS_OUT.test(target))
    .map((target) => {
      const [path = '', anchor = ''] = target.split('#');
      return { path, anchor };
    });
}

function problemOf(from: string, { path, anchor }: Link): string | null {
  const target = path === '' ? from : join(dirname(from), decodeURIComponent(path));
  if (!existsSync(join(ROOT, target))) return `${target} does not exist`;
  if (anchor === '' || !target.endsWith('.md')) return null;
  return anchorsOf(readText(target)).has(anchor) ? null : `${target} has no heading #${anchor}`;
}

describe('Markdown pages', () => {
  const pages = markdownPages();

  test('are found', () => {
    expect(pages).toContain('README.md');
    expect(pages).toContain('docs/adr/0001-bun-from-npm.md');
  });

  for (const page of pages) {
    test(`${page}: every link inside the repository leads somewhere`, () => {
      const problems = linksOf(readText(page)).map((link) => problemOf(page, link));
      expect(problems.filter((problem) => problem !== null)).toEqual([]);
    });
  }

  test('a broken link and a missing heading are noticed', () => {
    expect(problemOf('README.md', { path: 'no-such-file.md', anchor: '' })).toContain('does not exist');
    expect(problemOf('README.md', { path: 'SECURITY.md', anchor: 'no-such-heading' })).toContain('no heading');
  });
});
