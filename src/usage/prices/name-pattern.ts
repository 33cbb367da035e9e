import type { NamePattern } from './catalogue-format.ts';

/** `name` in lower case. */
export function fitsName(pattern: NamePattern, name: string): boolean {
  return typeof pattern === 'string' ? fits(pattern, name) : pattern.every((each) => fits(each, name));
}

function fits(pattern: string, name: string): boolean {
  const wanted = pattern.slice(1);
  switch (pattern[0]) {
    case '=':
      return name === wanted;
    case '^':
      return name.startsWith(wanted);
    case '$':
      return name.endsWith(wanted);
    case '~':
      return name.includes(wanted);
    case '/':
      return new RegExp(wanted, 'i').test(name);
    default:
      return false;
  }
}
