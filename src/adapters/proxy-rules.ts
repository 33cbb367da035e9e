/** The variables that Bun's fetch obeys. */
export interface ProxyEnvironment {
  readonly [name: string]: string | undefined;
}

/**
 * Would fetch send a call to this URL through a proxy? Then a bare connection to the host itself tells nothing.
 * Read at each use because fetch does so too; it looks at the lower-case name first and takes an empty one for none.
 * Address ranges in NO_PROXY, which fetch knows, are not looked at: a needless yes only costs the connect clock.
 */
export function goesThroughProxy(url: URL, environment: ProxyEnvironment = process.env): boolean {
  const scheme = url.protocol === 'https:' ? 'https' : 'http';
  const proxy = setting(environment, `${scheme}_proxy`) || setting(environment, 'all_proxy');
  return proxy !== '' && !isExempt(url, setting(environment, 'no_proxy'));
}

function setting(environment: ProxyEnvironment, name: string): string {
  return (environment[name] || environment[name.toUpperCase()] || '').trim();
}

/** NO_PROXY: hosts and their subdomains, each with or without a port, by commas; `*` exempts all. */
function isExempt(url: URL, list: string): boolean {
  const host = url.hostname.toLowerCase().replace(/^\[|\]$/g, '');
  const port = url.port !== '' ? url.port : url.protocol === 'https:' ? '443' : '80';
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => entry === '*' || matches(entry, host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  const bracketed = /^\[(.+)\](?::(\d+))?$/.exec(entry);
  const plain = /^([^:]+):(\d+)$/.exec(entry);
  const [, name = entry, onlyPort] = bracketed ?? plain ?? [];
  if (onlyPort !== undefined && onlyPort !== port) return false;
  const bare = name.replace(/^\*?\./, '');
  return host === bare || host.endsWith(`.${bare}`);
}
