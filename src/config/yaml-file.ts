import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import { nearestName } from '../core/nearest-name.ts';
import type { Problem } from '../core/problem.ts';

/** A value as YAML can say it: one text, several, or pairs. null: given as empty. */
export type Written = string | null | readonly string[] | readonly (readonly [string, string])[];

export interface YamlEntry {
  readonly key: string;
  readonly value: Written;
  /** Counted from 1. */
  readonly line: number;
}

/** The entries of one mapping: the top level, or one item of `targets`. */
export type YamlSection = readonly YamlEntry[];

export interface YamlTargetSection {
  readonly entries: YamlSection;
  readonly line: number;
  /** Its place in the list, from 0. */
  readonly index: number;
}

export interface YamlRouteSection {
  readonly name: string;
  readonly entries: YamlSection;
  readonly line: number;
}

/** A list of mappings as plain values, every scalar as the text that was written. */
export interface YamlList {
  readonly value: unknown;
  readonly line: number;
  /** Of each item. */
  readonly lines: readonly number[];
}

export interface YamlFile {
  readonly settings: YamlSection;
  readonly aliases: YamlEntry | null;
  readonly targets: readonly YamlTargetSection[];
  readonly routes: readonly YamlRouteSection[];
  readonly prices: YamlList | null;
  readonly localRates: YamlList | null;
  readonly problems: readonly Problem[];
}

export interface YamlNames {
  /** Keys of settings at the top level. */
  readonly settings: ReadonlySet<string>;
  /** Fields of a target. */
  readonly target: ReadonlySet<string>;
  /** Fields of a route. */
  readonly route: ReadonlySet<string>;
}

/** Keys at the top level that are no settings. */
const SECTIONS = ['targets', 'routes', 'aliases', 'prices', 'local_rates'];
/** A list of mappings with a list of mappings in them. */
const DEEPEST = 4;

/** Reads the file's structure. What the values mean is judged elsewhere; `label` is how problems call the file. */
export function readYamlFile(text: string, label: string, names: YamlNames): YamlFile {
  return new Reader(text, label, names).read();
}

class Reader {
  private readonly problems: Problem[] = [];
  private readonly lines = new LineCounter();
  private readonly document;
  private readonly label: string;
  private readonly names: YamlNames;

  constructor(text: string, label: string, names: YamlNames) {
    this.label = label;
    this.names = names;
    // Pretty errors quote the line, and the line may hold a key.
    this.document = parseDocument(text, { lineCounter: this.lines, prettyErrors: false });
  }

  read(): YamlFile {
    for (const error of this.document.errors) {
      const line = this.lines.linePos(error.pos[0]).line;
      this.report(line, this.label, null, `not valid YAML: ${clause(error.message)}`, null, 'correct the line');
    }
    // What the parser made of a broken file is a guess: problems found in that would not be the reader's.
    const isBroken = this.document.errors.some(({ code }) => code !== 'DUPLICATE_KEY');
    if (isBroken)
      return {
        settings: [],
        aliases: null,
        targets: [],
        routes: [],
        prices: null,
        localRates: null,
        problems: this.problems,
      };
    const settings: YamlEntry[] = [];
    const targets: YamlTargetSection[] = [];
    const routes: YamlRouteSection[] = [];
    let aliases: YamlEntry | null = null;
    let prices: YamlList | null = null;
    let localRates: YamlList | null = null;
    for (const { key, node, line } of this.pairsOf(this.document.contents, this.label)) {
      if (key === 'targets') targets.push(...this.readTargets(node, line));
      else if (key === 'routes') routes.push(...this.readRoutes(node, line));
      else if (key === 'prices') prices = this.readList(node, line);
      else if (key === 'local_rates') localRates = this.readList(node, line);
      else if (key === 'aliases') aliases = this.readEntry(key, node, line);
      else if (this.isKnown(key, line, [...this.names.settings, ...SECTIONS], '')) {
        const entry = this.readEntry(key, node, line);
        if (entry !== null) settings.push(entry);
      }
    }
    return { settings, aliases, targets, routes, prices, localRates, problems: this.problems };
  }

  private readTargets(given: Node | null, line: number): YamlTargetSection[] {
    const node = this.follow(given);
    if (node === null || (isScalar(node) && node.value === null)) return [];
    if (!isSeq(node)) {
      this.report(line, 'targets', null, 'it is not a list', 'a list of targets', 'write each as "- name: …"');
      return [];
    }
    return node.items.map((item, index) => {
      const itemNode = item as Node | null;
      const itemLine = this.lineOf(itemNode, line);
      return {
        entries: this.readFields(itemNode, `targets[${index}]`, this.names.target, itemLine),
        line: itemLine,
        index,
      };
    });
  }

  private readList(given: Node | null, line: number): YamlList {
    const node = this.follow(given);
    const lines = isSeq(node) ? node.items.map((item) => this.lineOf(item as Node | null, line)) : [];
    return { value: this.plain(node), line, lines };
  }

  /** An alias may lead to what it is a part of: what lies deeper than any list of ours is not looked at. */
  private plain(given: Node | null, depth = 0): unknown {
    const node = this.follow(given);
    if (isSeq(node)) {
      return depth > DEEPEST ? [] : node.items.map((item) => this.plain(item as Node | null, depth + 1));
    }
    if (!isMap(node)) return scalarText(node);
    if (depth > DEEPEST) return {};
    return Object.fromEntries(
      node.items.map((pair) => [
        scalarText(pair.key as Node | null) ?? '',
        this.plain(pair.value as Node | null, depth + 1),
      ]),
    );
  }

  private readRoutes(node: Node | null, line: number): YamlRouteSection[] {
    return this.pairsOf(node, 'routes', line).map((pair) => ({
      name: pair.key,
      entries: this.readFields(pair.node, `routes.${pair.key}`, this.names.route, pair.line),
      line: pair.line,
    }));
  }

  private readFields(node: Node | null, path: string, names: ReadonlySet<string>, line: number): YamlEntry[] {
    const entries: YamlEntry[] = [];
    for (const pair of this.pairsOf(node, path, line)) {
      if (!this.isKnown(pair.key, pair.line, [...names], `${path}.`)) continue;
      const entry = this.readEntry(pair.key, pair.node, pair.line, `${path}.`);
      if (entry !== null) entries.push(entry);
    }
    return entries;
  }

  private pairsOf(
    given: Node | null,
    name: string,
    fallbackLine = 1,
  ): { key: string; node: Node | null; line: number }[] {
    const node = this.follow(given);
    if (node === null || (isScalar(node) && node.value === null)) return [];
    if (!isMap(node)) {
      this.report(
        this.lineOf(node, fallbackLine),
        name,
        null,
        'it is not a mapping',
        'lines of "key: value"',
        'write key: value',
      );
      return [];
    }
    return node.items.map((pair: Pair) => {
      const key = pair.key as Node | null;
      return { key: scalarText(key) ?? '', node: pair.value as Node | null, line: this.lineOf(key, fallbackLine) };
    });
  }

  /** null: the value has a form that no setting has; it has been reported. */
  private readEntry(key: string, given: Node | null, line: number, prefix = ''): YamlEntry | null {
    const node = this.follow(given);
    if (node === null) return { key, value: null, line };
    if (isScalar(node)) return { key, value: scalarText(node), line };
    if (isSeq(node)) {
      const items = node.items.map((item) => scalarText(this.follow(item as Node)));
      if (items.every((item) => item !== null)) return { key, value: items, line };
    }
    if (isMap(node)) {
      const pairs = node.items.map(
        (pair) => [scalarText(pair.key as Node) ?? '', scalarText(this.follow(pair.value as Node)) ?? ''] as const,
      );
      return { key, value: pairs, line };
    }
    this.report(line, `${prefix}${key}`, null, 'it holds lists or mappings inside', 'plain values', 'write it flat');
    return null;
  }

  private isKnown(key: string, line: number, known: readonly string[], prefix: string): boolean {
    if (known.includes(key)) return true;
    const near = nearestName(key.replaceAll('-', '_').replace(/^swarmrouter_/i, ''), known);
    const fix = near === null ? 'remove it; docs/reference/settings.md lists the keys' : `did you mean ${near}?`;
    this.report(line, `${prefix}${key}`, null, 'there is no such key', null, fix.replace(/\?$/, ''));
    return false;
  }

  private follow(node: Node | null): Node | null {
    return isAlias(node) ? ((node.resolve(this.document) as Node | undefined) ?? null) : node;
  }

  private lineOf(node: Node | null, fallback: number): number {
    return node?.range ? this.lines.linePos(node.range[0]).line : fallback;
  }

  private report(
    line: number,
    name: string,
    seen: string | null,
    message: string,
    allowed: string | null,
    fix: string,
  ) {
    this.problems.push({ where: `${this.label} line ${line}`, name, seen, message, allowed, fix });
  }
}

/** The text as written (`1.0` stays `1.0`), so that YAML and the environment read a value alike. */
function scalarText(node: unknown): string | null {
  if (!isScalar(node) || node.value === null || node.value === undefined) return null;
  return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
}

const clause = (message: string): string => message.replace(/\s+/g, ' ').replace(/\.$/, '');
