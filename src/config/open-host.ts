import type { Problem } from '../core/problem.ts';
import type { Config } from './config.ts';
import { isLoopbackHost } from './urls.ts';

type HostSettings = Pick<Config, 'host' | 'adminKey' | 'settings'>;

/** Others can reach the gateway, and no admin key was set: only a client key keeps strangers out. */
export function needsClientKey({ host, adminKey }: Pick<HostSettings, 'host' | 'adminKey'>): boolean {
  return !isLoopbackHost(host) && adminKey === null;
}

/** What is wrong when there is no client key either. A generated admin key does not count: nobody chose to be reached. */
export function openHostProblem({ host, settings }: HostSettings): Problem {
  return {
    where: settings.find(({ name }) => name === 'SWARMROUTER_HOST')?.where ?? 'default',
    name: 'SWARMROUTER_HOST',
    seen: host,
    message:
      'others could reach the gateway at this address, and SWARMROUTER_ADMIN_KEY is not set, nor is there a client key',
    allowed: null,
    fix: 'set SWARMROUTER_ADMIN_KEY to a long random text (`openssl rand -hex 32`), or listen on 127.0.0.1',
  };
}
