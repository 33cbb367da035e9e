import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Simulator, type SimulatorKind, startSimulator } from '../simulators/index.ts';
import { type GatewayProcess, startGatewayProcess } from '../test/e2e/gateway-process.ts';
import { canariesIn, faultOf, randomOf } from './schedule.ts';
import type { Absence, Arrival, Fleet } from './verdict.ts';

const SERVERS: readonly {
  readonly name: string;
  readonly kind: SimulatorKind;
  readonly place: 'local' | 'cloud';
  readonly slots?: number;
}[] = [
  { name: 'studio-1', kind: 'lm-studio', place: 'local', slots: 8 },
  { name: 'studio-2', kind: 'lm-studio', place: 'local', slots: 8 },
  { name: 'llama', kind: 'ollama', place: 'local', slots: 8 },
  { name: 'cpp', kind: 'llama-cpp', place: 'local', slots: 8 },
  { name: 'vee', kind: 'vllm', place: 'local', slots: 16 },
  { name: 'lang', kind: 'sglang', place: 'local', slots: 16 },
  { name: 'router', kind: 'openrouter', place: 'cloud' },
  { name: 'azure-1', kind: 'azure-openai', place: 'cloud' },
  { name: 'other', kind: 'openai-compatible', place: 'cloud' },
];

/** Clocks short enough for hangs to be many, long enough for a machine that is busy with us. */
const SETTINGS = {
  LMSTUDIO_TIMEOUT: '1.5',
  SWARMROUTER_OVERFLOW_TIMEOUT: '1.5',
  SWARMROUTER_FIRST_TOKEN_TIMEOUT: '1.5',
  SWARMROUTER_IDLE_TIMEOUT: '1.5',
  SWARMROUTER_CONNECT_TIMEOUT: '1',
  SWARMROUTER_QUEUE_TIMEOUT: '10',
  SWARMROUTER_REQUEST_TIMEOUT: '15',
  SWARMROUTER_RETRY_DELAY: '0.05',
  SWARMROUTER_PROBE_INTERVAL: '1',
  SWARMROUTER_CANCEL_GRACE: '0.05',
  SWARMROUTER_LOG_LEVEL: 'ERROR',
};
const MAX_RETRIES = 3;
/** The request's clock and the longest stall behind it. */
export const HUNG_AFTER_MS = 20_000;
/** Until a server that is back has been probed, tried, and is in rotation again. */
const BACK_MS = 3_000;
/** A rate limit is kept for what it says; the clocks of two processes are never quite alike. */
const COOLING_MARGIN_MS = 100;
/** Absences are needed for as long as a request may run. */
const REMEMBERED_MS = 60_000;

export interface ChaosOptions {
  readonly seed: number;
  /** Share of the requests that meet a fault at a given server, 0 to 1. */
  readonly faults: number;
}

/** Nine servers of all wires with their faults, and the gateway in front of them as a process of its own. */
export class ChaosFleet {
  readonly gateway: GatewayProcess;
  readonly judged: Fleet;
  readonly #options: ChaosOptions;
  readonly #servers: readonly Simulator[];
  readonly #arrivals: Map<number, Arrival[]>;
  readonly #folder: string;
  #absences: Absence[] = [];
  #disturbing = true;
  #disturber: Promise<void> = Promise.resolve();

  private constructor(
    options: ChaosOptions,
    gateway: GatewayProcess,
    servers: readonly Simulator[],
    arrivals: Map<number, Arrival[]>,
    folder: string,
  ) {
    this.#options = options;
    this.gateway = gateway;
    this.#servers = servers;
    this.#arrivals = arrivals;
    this.#folder = folder;
    this.judged = {
      targets: SERVERS,
      maxAttempts: MAX_RETRIES + 1,
      faultOf: (number, target) => faultOf(options.seed, number, target, options.faults),
    };
  }

  static async start(options: ChaosOptions): Promise<ChaosFleet> {
    const arrivals = new Map<number, Arrival[]>();
    const servers = await Promise.all(SERVERS.map((server) => startServer(server, options, arrivals)));
    const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-chaos-'));
    const file = join(folder, 'swarmrouter.yaml');
    const targets = SERVERS.map(({ name, kind, place, slots }, index) => ({
      name,
      kind,
      place,
      url: servers[index]?.baseUrl,
      ...(place === 'cloud' ? { api_key: 'chaos-key-0123456789' } : {}),
      ...(slots === undefined ? {} : { max_concurrent: slots }),
      ...(kind === 'azure-openai' ? { deployments: { 'sim-model': 'sim-model' } } : {}),
    }));
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ targets }));
    const gateway = await startGatewayProcess({
      ...SETTINGS,
      SWARMROUTER_MAX_RETRIES: String(MAX_RETRIES),
      SWARMROUTER_CONFIG: file,
    });
    return new ChaosFleet(options, gateway, servers, arrivals, folder);
  }

  /** Kills local servers now and then and starts them again, until `calm`. */
  disturb(): void {
    this.#disturber = this.#killNowAndThen();
  }

  async calm(): Promise<void> {
    this.#disturbing = false;
    await this.#disturber;
  }

  /** Where a request arrived; forgets it. */
  takeArrivals(number: number): readonly Arrival[] {
    const arrivals = this.#arrivals.get(number) ?? [];
    this.#arrivals.delete(number);
    for (const { target, atMs, fault } of arrivals) {
      const waitMs = fault?.kind === 'status' ? Number(fault.headers?.['retry-after-ms'] ?? 0) : 0;
      if (waitMs > 0) this.#absences.push({ target, fromMs: atMs, toMs: atMs + waitMs + COOLING_MARGIN_MS });
    }
    return arrivals;
  }

  get absences(): readonly Absence[] {
    const oldestMs = performance.now() - REMEMBERED_MS;
    if ((this.#absences[0]?.toMs ?? oldestMs) < oldestMs) {
      this.#absences = this.#absences.filter(({ toMs }) => toMs >= oldestMs);
    }
    return this.#absences;
  }

  connections(): number {
    return this.#servers.reduce((sum, server) => sum + server.connections(), 0);
  }

  async stopServers(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop()));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #killNowAndThen(): Promise<void> {
    const random = randomOf(this.#options.seed, 'kills');
    const locals = this.#servers.filter((_, index) => SERVERS[index]?.place === 'local');
    while (this.#disturbing) {
      await Bun.sleep(1_000 + random() * 3_000);
      const server = locals[Math.floor(random() * locals.length)];
      if (server === undefined || !this.#disturbing) return;
      const absence = { target: server.name, fromMs: performance.now(), toMs: Number.POSITIVE_INFINITY };
      this.#absences.push(absence);
      await server.kill();
      await Bun.sleep(200 + random() * 1_500);
      await server.revive();
      absence.toMs = performance.now() + BACK_MS;
    }
  }
}

function startServer(
  server: (typeof SERVERS)[number],
  { seed, faults }: ChaosOptions,
  arrivals: Map<number, Arrival[]>,
): Promise<Simulator> {
  const { name, kind, place, slots } = server;
  return startSimulator({
    kind,
    name,
    models: [{ id: 'sim-model', contextLength: 1_000_000 }],
    ...(slots === undefined ? {} : { slots }),
    ...(place === 'cloud' ? { apiKey: 'chaos-key-0123456789' } : {}),
    firstTokenMs: 2,
    logLimit: 0,
    faultFor: ({ rawBody }) => {
      const [number] = canariesIn(rawBody);
      return number === undefined ? null : faultOf(seed, number, name, faults);
    },
    onGeneration: (record, fault) => {
      const [number] = canariesIn(record.rawBody);
      if (number === undefined) return;
      const arrival = { target: name, atMs: record.startedAtMs, fault, isAnswered: () => record.status !== null };
      const seen = arrivals.get(number);
      if (seen === undefined) arrivals.set(number, [arrival]);
      else seen.push(arrival);
    },
  });
}
