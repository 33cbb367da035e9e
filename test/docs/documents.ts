import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** The repository's root, absolute. */
export const ROOT = join(import.meta.dir, '..', '..');

export const readText = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** Every Markdown page of the repository, by its path from the root. */
export function markdownPages(): string[] {
  const folders = ['.', 'docs/**', 'deploy/**', 'src/**', 'test/**', 'bench/**', 'simulators/**', 'scripts/**'];
  const paths = folders.flatMap((folder) => [...new Bun.Glob(`${folder}/*.md`).scanSync({ cwd: ROOT })]);
  return [...new Set(paths.map((path) => relative('.', path)))].sort();
}

/** Files that operators copy. */
export function deployFiles(): string[] {
  return [...new Bun.Glob('deploy/*').scanSync({ cwd: ROOT, dot: true })].sort();
}

export interface CodeBlock {
  /** What stands behind the opening fence: `bash`, `yaml`; empty: nothing. */
  readonly language: string;
  readonly text: string;
}

export function codeBlocks(page: string): CodeBlock[] {
  return [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({ language, text }));
}

/** The page without its code blocks. */
export const proseOf = (page: string): string => page.replace(/^```\w*\n[\s\S]*?^```$/gm, '');

/** The body of a second- or third-level section, up to the next heading of its level or above. */
export function sectionOf(page: string, heading: string): string {
  const start = page.indexOf(`\n${heading}\n`);
  if (start === -1) throw new Error(`there is no heading "${heading}"`);
  const body = page.slice(start + heading.length + 2);
  const level = heading.indexOf(' ');
  const end = body.search(new RegExp(`^#{1,${level}} `, 'm'));
  return end === -1 ? body : body.slice(0, end);
}

/** Rows of the first table of a text, without its head; cells trimmed. */
export function tableRows(text: string): string[][] {
  const rows = /(?:^\|.*\|$\n?)+/m.exec(text)?.[0].trim().split('\n') ?? [];
  return rows.slice(2).map((row) =>
    row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
}

/** The ids that a page's headings get where Markdown is shown: lower case, punctuation gone, spaces to hyphens. */
export function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of proseOf(page).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const shown = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const base = shown
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-');
    let anchor = base;
    for (let number = 1; anchors.has(anchor); number++) anchor = `${base}-${number}`;
    anchors.add(anchor);
  }
  return anchors;
}
