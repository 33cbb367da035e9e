const percent = (text: string): string => [...text].map((letter) => `%${letter.charCodeAt(0).toString(16)}`).join('');

/** Other ways to write a path, which some part might read as the path and another as a different one. The first is the path. */
export function variantsOf(path: string): readonly string[] {
  const [, first = '', ...rest] = path.split('/');
  const tail = rest.length === 0 ? '' : `/${rest.join('/')}`;
  const last = rest.at(-1) ?? first;
  const initial = first.charAt(0);
  return [
    path,
    ...[path.toUpperCase(), `/${initial.toUpperCase()}${first.slice(1)}${tail}`],
    // Slashes and dots.
    ...[`/${path}`, `//${path}`, `/.${path}`, path.replaceAll('/', '//'), `/${first}/${tail}`, `/${first}/.${tail}`],
    ...[`${path}/`, `${path}//`, `${path}/.`, `${path}/..;/${last}`],
    // Out of a path that is open to everybody.
    ...[`/x/..${path}`, `/v1/..${path}`, `/v1/models/../..${path}`, `/health/..${path}`, `/openapi.json/..${path}`],
    ...[
      `/admin/login/..${path}`,
      `/docs/..${path}`,
      `/docs/..%2f${path.slice(1)}`,
      `/docs/%2e%2e${path}`,
      `/docs${path}`,
    ],
    // Encoded, once and twice.
    ...[`/%2e${path}`, `/${percent(first)}${tail}`, `/${percent(initial)}${first.slice(1)}${tail}`],
    ...[`/%25${percent(initial).slice(1)}${first.slice(1)}${tail}`, `/${first}%2f${rest.join('%2f')}`],
    ...[`/${first}%252f${rest.join('/')}`, `/${first}%5c${rest.join('%5c')}`],
    ...[`${path}%00`, `${path}%20`, `${path}%0a`],
    // Parameters, queries, fragments and endings.
    ...[`/${first};x${tail}`, `/${first};x=1${tail}`, `${path};x`, `${path};x=1`],
    ...[`${path}?`, `${path}?/docs`, `${path}?x=/docs`, `${path}#/docs`, `${path}.json`],
    // Backslashes and whole addresses.
    ...[path.replaceAll('/', '\\'), `/${first}${tail.replaceAll('/', '\\')}`],
    ...[`http://localhost${path}`, `http://localhost:80${path}`, `https://localhost${path}`, `HTTP://LOCALHOST${path}`],
    `http://localhost/docs/..${path}`,
  ];
}
