import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type GatewayProcess, startGatewayProcess } from '../test/e2e/gateway-process.ts';
import { PRICES } from './billing/invoice.ts';
import { type ChaosServers, CLOUD_KEY, SERVERS } from './servers.ts';

/** Clocks short enough for hangs to be many, long enough for a machine that is busy with us. */
const SETTINGS = {
  LMSTUDIO_TIMEOUT: '1.5',
  SWARMROUTER_OVERFLOW_TIMEOUT: '1.5',
  SWARMROUTER_FIRST_TOKEN_TIMEOUT: '1.5',
  SWARMROUTER_IDLE_TIMEOUT: '1.5',
  SWARMROUTER_CONNECT_TIMEOUT: '1',
  SWARMROUTER_QUEUE_TIMEOUT: '10',
  // Longer than a stall with comments takes, which is ten idle limits.
  SWARMROUTER_REQUEST_TIMEOUT: '20',
  SWARMROUTER_RETRY_DELAY: '0.05',
  SWARMROUTER_PROBE_INTERVAL: '1',
  SWARMROUTER_CANCEL_GRACE: '0.05',
};
export const MAX_RETRIES = 3;
/** A reply must begin within the request's clock; then a stream may stall once, with comments. A second for a busy machine. */
export const HUNG_AFTER_MS = 20_000 + 10 * 1_500 + 1_000;

/** A busy gateway reads late what a client sent that has left since. */
export const LEAVING_MS = 2_000;

/**
 * The gateway as a process of its own, in front of the servers.
 * @param logFile gets its log, a line a request; null: errors only, to nowhere
 */
export async function startChaosGateway(servers: ChaosServers, logFile: string | null = null): Promise<GatewayProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-chaos-'));
  const file = join(folder, 'swarmrouter.yaml');
  const targets = SERVERS.map(({ name, kind, place, slots }) => ({
    name,
    kind,
    place,
    url: servers.baseUrl(name),
    ...(place === 'cloud' ? { api_key: CLOUD_KEY } : {}),
    ...(slots === undefined ? {} : { max_concurrent: slots }),
    ...(kind === 'azure-openai' ? { deployments: { 'sim-model': 'sim-model' } } : {}),
  }));
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ targets, prices: [PRICES] }));
  const log = logFile === null ? null : Bun.file(logFile).writer();
  const settings = {
    ...SETTINGS,
    SWARMROUTER_LOG_LEVEL: log === null ? 'ERROR' : 'INFO',
    SWARMROUTER_MAX_RETRIES: String(MAX_RETRIES),
    SWARMROUTER_CONFIG: file,
    SWARMROUTER_USAGE: 'true',
  };
  const gateway = await startGatewayProcess(settings, { onOutput: (text) => log?.write(text) });
  return {
    ...gateway,
    stop: async () => {
      const code = await gateway.stop();
      await log?.end();
      rmSync(folder, { recursive: true, force: true });
      return code;
    },
  };
}
