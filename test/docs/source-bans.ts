import ts from 'typescript';

/** A use of something that the product must not use, or only where it is known to be harmless. */
export interface Found {
  readonly path: string;
  readonly line: number;
  readonly rule: Rule;
  /** The code, blanks made one. */
  readonly code: string;
}

export type Rule = 'evaluated text' | 'other program' | 'import of a computed name' | 'statement built from text';

/** Modules that run text as code, or other programs. */
const FORBIDDEN_MODULES: Readonly<Record<string, Rule>> = {
  vm: 'evaluated text',
  repl: 'evaluated text',
  ejs: 'evaluated text',
  eta: 'evaluated text',
  handlebars: 'evaluated text',
  liquidjs: 'evaluated text',
  mustache: 'evaluated text',
  nunjucks: 'evaluated text',
  pug: 'evaluated text',
  child_process: 'other program',
  cluster: 'other program',
};
/** How a statement in SQL begins, wherever it stands in a text. */
const STATEMENT =
  /(^|[\s(;])(select\s|insert\s+into\s|update\s+\S+\s+set\s|delete\s+from\s|begin\s*;|set\s+local\s|pragma\s|create\s+(table|index|trigger|function|or\s)|alter\s+table\s|drop\s|where\s+\S+\s*(=|<|>|in\b|like\b))/i;
/** Kysely's ways around parameters. */
const RAW = new Set(['raw', 'lit']);

/** What the rules have against one file of the sources. Pure. */
export function banned(path: string, text: string): readonly Found[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found: Found[] = [];
  const report = (node: ts.Node, rule: Rule): void => {
    const { line } = file.getLineAndCharacterOfPosition(node.getStart());
    found.push({ path, line: line + 1, rule, code: node.getText().replaceAll(/\s+/g, ' ') });
  };
  const visit = (node: ts.Node): void => {
    const rule = ruleOf(node);
    if (rule !== null) report(node, rule);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function ruleOf(node: ts.Node): Rule | null {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return importRule(node.moduleSpecifier);
  if (ts.isNewExpression(node)) return isNamed(node.expression, 'Function') ? 'evaluated text' : null;
  if (ts.isCallExpression(node)) return callRule(node);
  if (ts.isTaggedTemplateExpression(node)) return isBun(node.tag, '$') ? 'other program' : null;
  if (ts.isTemplateExpression(node)) return builtStatement(node, node.head.text, node);
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    const { left } = node;
    return ts.isStringLiteralLike(left) ? builtStatement(node, left.text, node) : null;
  }
  return null;
}

function importRule(specifier: ts.Expression | undefined): Rule | null {
  if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return null;
  return FORBIDDEN_MODULES[specifier.text.replace(/^node:/, '')] ?? null;
}

function callRule(node: ts.CallExpression): Rule | null {
  const { expression, arguments: given } = node;
  const [first] = given;
  if (expression.kind === ts.SyntaxKind.ImportKeyword || isNamed(expression, 'require')) {
    return first !== undefined && ts.isStringLiteralLike(first) ? importRule(first) : 'import of a computed name';
  }
  if (isNamed(expression, 'eval') || isNamed(expression, 'Function')) return 'evaluated text';
  const isTimer = isNamed(expression, 'setTimeout') || isNamed(expression, 'setInterval');
  if (isTimer && first !== undefined && ts.isStringLiteralLike(first)) return 'evaluated text';
  if (isBun(expression, 'spawn') || isBun(expression, 'spawnSync')) return 'other program';
  const isRaw = ts.isPropertyAccessExpression(expression) && RAW.has(expression.name.text);
  if (isRaw && isNamed(expression.expression, 'sql')) {
    return first !== undefined && ts.isStringLiteralLike(first) ? null : 'statement built from text';
  }
  return null;
}

/** A template of Kysely's makes parameters of its values; any other puts them into the statement. */
function builtStatement(node: ts.Node, head: string, whole: ts.Node): Rule | null {
  const isTagged = ts.isTaggedTemplateExpression(node.parent) && isNamed(node.parent.tag, 'sql');
  const isPart = ts.isBinaryExpression(node.parent);
  if (isTagged || isPart || isMessage(whole)) return null;
  return STATEMENT.test(head) || STATEMENT.test(literalText(whole)) ? 'statement built from text' : null;
}

/** Without what is put in. */
function literalText(node: ts.Node): string {
  if (!ts.isTemplateExpression(node)) return '';
  return [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join(' … ');
}

/** Words for people: what an error says, or a line of the log. */
function isMessage(node: ts.Node): boolean {
  for (let at = node.parent; at !== undefined; at = at.parent) {
    if (ts.isNewExpression(at)) return /Error|Refused|Conflict|Unavailable/.test(at.expression.getText());
    if (ts.isStatement(at)) break;
  }
  return false;
}

function isNamed(node: ts.Node, name: string): boolean {
  if (ts.isIdentifier(node)) return node.text === name;
  return ts.isPropertyAccessExpression(node) && node.name.text === name && isNamed(node.expression, 'globalThis');
}

function isBun(node: ts.Node, name: string): boolean {
  if (ts.isIdentifier(node)) return name === '$' && node.text === '$';
  return ts.isPropertyAccessExpression(node) && node.name.text === name && isNamed(node.expression, 'Bun');
}
