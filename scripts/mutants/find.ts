import ts from 'typescript';

/** One check taken away. */
export interface Mutant {
  readonly path: string;
  readonly line: number;
  /** What is taken away, for people. */
  readonly what: string;
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

type Change = readonly [node: ts.Node, replacement: string, what: string, offset?: number];

/** Files whose every `if (…) return …` or `throw …` keeps somebody out. */
export const GUARDS: readonly string[] = [
  ...['src/http/admin/authentication.ts', 'src/http/admin/cookies.ts', 'src/http/admin/permission.ts'],
  ...['src/http/admin/tenancy.ts', 'src/http/admin/json-body.ts', 'src/admission/credential.ts'],
  ...['src/admission/key-book.ts', 'src/admission/key-format.ts', 'src/admission/key-guard.ts'],
  ...['src/admission/looked-up.ts', 'src/admission/people.ts', 'src/admission/policies.ts'],
  ...['src/admission/identities.ts', 'src/admission/principals.ts', 'src/admission/sessions.ts'],
  ...['src/core/permissions.ts', 'src/core/principal.ts', 'src/http/guard.ts'],
];
const TENANT_COLUMN = /^'(?:\w+\.)?(?:organisation_id|project_id)'$/;
/** `organisation_id = ${…}` in a statement that is written out, or between two tables of it. */
const WRITTEN_CONDITION = /(?:\w+\.)?(?:organisation_id|project_id) = (?:\$\{[^}]*\}|\w+\.\w+)/g;
/** Calls that say whether something is somebody's, and what they say when they are taken away. */
const DECISIONS: Readonly<Record<string, string>> = { sees: 'true', includesProject: 'true', projectsOf: 'null' };
/** Calls that throw when it is not. */
const DEMANDS = new Set(['requireIn', 'refuseCrossSite', 'changeable', 'authorize', 'authorizeOperator']);

/** Everything in a file that keeps tenants and strangers out, each taken away by itself. Pure. */
export function mutantsOf(path: string, text: string): readonly Mutant[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found: Mutant[] = [];
  const visit = (node: ts.Node): void => {
    for (const [at, replacement, what, offset = 0] of changesOf(path, node)) {
      const { line } = file.getLineAndCharacterOfPosition(at.getStart() + offset);
      found.push({ path, line: line + 1, what, start: at.getStart(), end: at.getEnd(), replacement });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function changesOf(path: string, node: ts.Node): readonly Change[] {
  if (ts.isIfStatement(node) && GUARDS.includes(path) && keepsOut(node.thenStatement)) {
    const whole: Change = [node.expression, 'false', `if (${shown(node.expression)})`];
    return [whole, ...operandsOf(node.expression).map((one): Change => [one, 'false', `${shown(one)} in ${whole[2]}`])];
  }
  if (ts.isTemplateLiteral(node) && path.startsWith('src/stores/')) return statementChanges(node);
  if (ts.isPropertyAssignment(node) && path === 'src/core/permissions.ts') return tableChanges(node);
  if (ts.isExpressionStatement(node) && ts.isCallExpression(node.expression)) {
    const name = node.expression.expression.getText();
    return DEMANDS.has(name) ? [[node, ';', shown(node)]] : [];
  }
  return ts.isCallExpression(node) ? callChanges(path, node) : [];
}

function callChanges(path: string, node: ts.CallExpression): readonly Change[] {
  const { expression, arguments: given } = node;
  const name = expression.getText();
  const isRoute = path.startsWith('src/http/admin/') && name === 'needs';
  // Whoever is somebody may do what needs nothing more: there is nothing to take away.
  if (isRoute) return given[0]?.getText() === "'self'" ? [] : [[node, "needs('self')", shown(node)]];
  const instead = DECISIONS[name];
  if (instead !== undefined && path.startsWith('src/http/')) return [[node, instead, shown(node)]];
  return path.startsWith('src/stores/') && TENANT_COLUMN.test(given[0]?.getText() ?? '') ? filterChanges(node) : [];
}

/** A condition on the tenant. */
function filterChanges(node: ts.CallExpression): readonly Change[] {
  const { expression, arguments: given } = node;
  const condition = given.map(shown).join(', ');
  if (expression.getText() === 'eb') return [[node, 'eb.lit(true)', `eb(${condition})`]];
  if (!ts.isPropertyAccessExpression(expression)) return [];
  const before = expression.expression.getText();
  if (expression.name.text === 'where') return [[node, before, `.where(${condition})`]];
  return expression.name.text === 'on' ? [[node, `${before}.onTrue()`, `.on(${condition})`]] : [];
}

/** Conditions on the tenant in a statement that is written out. */
function statementChanges(node: ts.TemplateLiteral): readonly Change[] {
  const text = node.getText();
  return [...text.matchAll(WRITTEN_CONDITION)].map(({ index, 0: condition }) => [
    node,
    `${text.slice(0, index)}1 = 1${text.slice(index + condition.length)}`,
    condition,
    index,
  ]);
}

/** Of `one || another`, each by itself; of anything else none. */
function operandsOf(node: ts.Expression): readonly ts.Expression[] {
  if (!ts.isBinaryExpression(node) || node.operatorToken.kind !== ts.SyntaxKind.BarBarToken) return [];
  const { left, right } = node;
  return [left, right].flatMap((side) => {
    const within = operandsOf(side);
    return within.length === 0 ? [side] : within;
  });
}

/** Every role has it; it can be held for a project; who is not in the gateway's organisation may hold it. */
function tableChanges(node: ts.PropertyAssignment): readonly Change[] {
  const row = ts.isObjectLiteralExpression(node.parent) ? node.parent.parent : null;
  const permission = row !== null && ts.isPropertyAssignment(row) ? row.name.getText() : '';
  if (node.name.getText() === 'roles' && node.initializer.getText() !== 'EVERYONE') {
    return [[node.initializer, 'EVERYONE', `${permission} ${shown(node)}`]];
  }
  if (node.name.getText() === 'reach' && node.initializer.getText() !== "'project'") {
    return [[node.initializer, "'project'", `${permission} ${shown(node)}`]];
  }
  return [];
}

function keepsOut(node: ts.Statement): boolean {
  const last = ts.isBlock(node) ? node.statements.at(-1) : node;
  if (last === undefined) return false;
  // To hand on what failed keeps nobody out.
  if (ts.isThrowStatement(last)) return last.expression.getText() !== 'error';
  return ts.isReturnStatement(last);
}

function shown(node: ts.Node): string {
  return node.getText().replaceAll(/\s+/g, ' ').slice(0, 100);
}
