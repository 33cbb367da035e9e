import { postgresAddress } from '../../core/postgres-address.ts';
import { StoreRefused } from '../sql/store-refused.ts';
import { codeOf } from './faults.ts';

const SETTING = 'SWARMROUTER_DATABASE_URL';

/** Why the database could not be opened, where it was looked for, and what to do. Never the password. Pure. */
export function cannotOpen(error: unknown, url: string): Error {
  if (error instanceof StoreRefused) {
    const { server, database } = placeOf(url);
    return new Error(`the database "${database}" at ${server} cannot be used: ${error.message}`, { cause: error });
  }
  const failure = causes(error).find((one) => codeOf(one) !== '') ?? causes(error).at(-1);
  const said = failure instanceof Error ? failure.message : String(failure);
  const [what, fix] = words(codeOf(failure), said, url);
  return new Error(`${what}: ${said}. ${fix}`, { cause: error });
}

/** By the beginning of PostgreSQL's SQLSTATE, or the code of the socket. */
function words(code: string, said: string, url: string): readonly [what: string, fix: string] {
  const { server, database } = placeOf(url);
  // The driver's own words for a password that is missing have no code.
  if (code.startsWith('28') || (code === '' && /password|SASL/i.test(said))) {
    return [`the database server at ${server} does not let us in`, `Correct the user and the password in ${SETTING}`];
  }
  if (code.startsWith('3D')) {
    return [`${server} has no database "${database}"`, `Make it (createdb ${database}), or correct ${SETTING}`];
  }
  if (code === '42501') {
    return [
      `the user may not make tables in "${database}" at ${server}`,
      `Grant it, or name another one in ${SETTING}`,
    ];
  }
  if (isOfTheConnection(code, said)) {
    return [`the database cannot be reached at ${server}`, `Start the server, or correct ${SETTING}`];
  }
  return [`the database "${database}" at ${server} cannot be used`, "See the server's own log"];
}

/** A code of the socket, or an SQLSTATE of lost connections, too many of them, and servers that start or stop. */
function isOfTheConnection(code: string, said: string): boolean {
  return code === '' ? /connect|timeout/i.test(said) : /^(E(?!RR_)[A-Z_]+$|08|53300|57P)/.test(code);
}

function placeOf(url: string): { readonly server: string; readonly database: string } {
  const address = postgresAddress(url);
  // Settings let nothing else in.
  if (address === null) return { server: 'an address that is no URL', database: '' };
  return { server: `${address.host}:${address.port}`, database: address.database };
}

/** The error and what it came from, the outermost first. */
function causes(error: unknown): readonly unknown[] {
  const found = [error];
  for (let at = error; at instanceof Error && at.cause !== undefined && found.length < 10; at = at.cause) {
    found.push(at.cause);
  }
  return found;
}
