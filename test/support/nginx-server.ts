import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readText } from '../docs/documents.ts';
import { freePort } from './free-port.ts';

/** An nginx of the tests' own on loopback, in front of a gateway, as deploy/nginx.conf sets it up. */
export interface NginxServer {
  readonly port: number;
  /** What a client sends as `Authorization`. */
  readonly credential: string;
  stop(): Promise<void>;
}

const PROGRAMS = ['nginx', '/usr/sbin/nginx'];
const CREDENTIAL = 'Bearer client-of-the-proxy';

export const nginxProgram = (): string | null =>
  PROGRAMS.find((program) => spawnSync(program, ['-v']).status === 0) ?? null;

/** The site that people are given, without TLS, on these ports. */
function siteFor(port: number, gatewayPort: number, folder: string): string {
  return readText('deploy/nginx.conf')
    .replace(/^ *(listen \[::\]|ssl_).*$/gm, '')
    .replace('listen 443 ssl', `listen 127.0.0.1:${port}`)
    .replaceAll('127.0.0.1:8000', `127.0.0.1:${gatewayPort}`)
    .replace('/etc/nginx/swarmrouter-client-keys.conf', join(folder, 'client-keys.conf'));
}

export async function startNginx(program: string, gatewayPort: number): Promise<NginxServer> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-nginx-'));
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  );
  mkdirSync(join(folder, 'logs'));
  writeFileSync(join(folder, 'client-keys.conf'), `"${CREDENTIAL}" 1;\n`, { mode: 0o600 });
  writeFileSync(join(folder, 'site.conf'), siteFor(port, gatewayPort, folder));
  const rootOnly = process.getuid?.() === 0 ? 'user root;' : '';
  const http = `access_log off; ${temporary.join(' ')} include ${join(folder, 'site.conf')};`;
  const main = `daemon off; ${rootOnly} worker_processes 1; pid ${join(folder, 'pid')}; error_log ${join(folder, 'error.log')}; events {} http { ${http} }`;
  writeFileSync(join(folder, 'nginx.conf'), main);
  const child = spawn(program, ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], {
    stdio: 'ignore',
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGQUIT');
    setTimeout(() => child.kill('SIGTERM'), 500).unref();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => null);
    if (answer !== null) return { port, credential: CREDENTIAL, stop };
    if (tries === 100 || child.exitCode !== null) {
      await stop();
      throw new Error(`nginx does not answer: ${spawnSync(program, ['-t', '-c', join(folder, 'nginx.conf')]).stderr}`);
    }
    await Bun.sleep(30);
  }
}
