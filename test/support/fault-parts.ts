import { afterEach, expect } from 'bun:test';
import { type Simulator, type SimulatorKind, startSimulator } from '../../simulators/index.ts';
import type { SimulatorOptions } from '../../simulators/types.ts';
import type { Target } from '../../src/core/target.ts';
import { CountingClock } from './counting-clock.ts';
import { targetOf } from './fleet.ts';
import { startTestGateway, type TestGateway, targetFor, until } from './gateway.ts';
import { type RawServer, type RawServerOptions, startRawServer } from './raw-server.ts';

type GatewayChange = NonNullable<Parameters<typeof startTestGateway>[1]>;

/** Connections beside the requests: the probe's and the connect check's. */
const SPARE_CONNECTIONS = 2;

/**
 * Starts parts for one test, and after it looks for what was left behind: slots, requests that a server still works
 * on, sockets, timers. A leak fails the test. Call it once at the top of a test file.
 */
export function faultParts() {
  let simulators: Simulator[] = [];
  let raw: RawServer[] = [];
  let gateways: { readonly started: TestGateway; readonly clock: CountingClock }[] = [];

  afterEach(async () => {
    const seen = { simulators, raw, gateways };
    [simulators, raw, gateways] = [[], [], []];
    try {
      for (const { started } of seen.gateways) await noSlotIsTaken(started);
      for (const simulator of seen.simulators) await noWorkIsLeft(simulator);
      for (const { started } of seen.gateways)
        expect(await started.gateway.stop(1_000), 'requests all ended').toBe(true);
      for (const { clock } of seen.gateways) await noTimerIsLeft(clock);
    } finally {
      for (const { started } of seen.gateways) await started.stop();
      for (const simulator of seen.simulators) await simulator.stop();
      for (const server of seen.raw) await server.stop();
    }
  });

  return {
    async simulator(options: SimulatorOptions): Promise<Simulator> {
      const simulator = await startSimulator(options);
      simulators.push(simulator);
      return simulator;
    },
    async rawServer(options: RawServerOptions): Promise<RawServer> {
      const server = await startRawServer(options);
      raw.push(server);
      return server;
    },
    async gateway(targets: readonly Target[], change: GatewayChange = {}): Promise<TestGateway> {
      const clock = change.clock instanceof CountingClock ? change.clock : new CountingClock();
      // Probes at the start only, so that a test sees its own requests and nothing else.
      const started = await startTestGateway(targets, { probeIntervalMs: 600_000, ...change, clock });
      gateways.push({ started, clock });
      return started;
    },
  };
}

async function noSlotIsTaken({ gateway }: TestGateway): Promise<void> {
  const taken = () => gateway.targets().filter(({ inFlight, queued }) => inFlight > 0 || queued > 0);
  await until('no slot is taken and nobody waits', () => taken().length === 0);
}

async function noWorkIsLeft(simulator: Simulator): Promise<void> {
  await until(`nothing runs on ${simulator.name}`, () => simulator.active() === 0);
  const allowed = simulator.peakActive() + SPARE_CONNECTIONS;
  await until(`at most ${allowed} connections to ${simulator.name} are kept`, () => simulator.connections() <= allowed);
}

async function noTimerIsLeft(clock: CountingClock): Promise<void> {
  try {
    await until('no timer is left', () => clock.pendingDelaysMs.length === 0);
  } catch {
    expect(clock.pendingDelaysMs, 'timers left after the gateway stopped, ms').toEqual([]);
  }
}

/** The target that leads to a raw server. */
export function targetOfRaw(server: RawServer, change: Partial<Target> = {}): Target {
  return { ...targetOf({ id: 'raw', kind: 'openai-compatible', place: 'local' }), baseUrl: server.baseUrl, ...change };
}

/** A steady server that may hide what another does wrong. */
export const STEADY = { id: 'steady', kind: 'vllm' as SimulatorKind };

export { targetFor };
