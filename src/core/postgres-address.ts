/** Where an address of PostgreSQL leads. */
export interface PostgresAddress {
  /** A name, an IP address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: string;
  /** Empty: the one that is called as the user. */
  readonly database: string;
}

const DEFAULT_PORT = '5432';

/** Of `postgres://…`, as the driver reads it: a host may be missing also behind a user. Null: it is none. Pure. */
export function postgresAddress(text: string): PostgresAddress | null {
  const url = parsedUrl(text);
  if (url === null) return null;
  const { hostname, port, pathname, searchParams } = url;
  return {
    host: searchParams.get('host') || decoded(hostname) || 'localhost',
    port: searchParams.get('port') || port || DEFAULT_PORT,
    database: decoded(pathname.slice(1)),
  };
}

/** A URL with a user must have a host: the driver gives it one and forgets it again. */
function parsedUrl(text: string): URL | null {
  return URL.parse(text) ?? URL.parse(text.replace('@/', '@localhost/'));
}

/** As it is, where it is not encoded as it should be. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
