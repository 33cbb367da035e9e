import { SimulatedServer } from './simulated-server.ts';
import type { Simulator, SimulatorOptions } from './types.ts';
import { WIRES } from './wires/index.ts';

export { FAULT_KINDS, type Fault, type FaultKind, type FaultScope } from './fault.ts';
export type {
  Behaviour,
  MemoryCounts,
  SimulatedModel,
  SimulatedRequest,
  Simulator,
  SimulatorKind,
  SimulatorOptions,
} from './types.ts';

/** Starts an upstream server on a real socket. Rejects if the port is taken. */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const wire = WIRES[options.kind];
  if (wire === undefined) {
    throw new TypeError(`startSimulator: kind is '${options.kind}', must be one of ${Object.keys(WIRES).join(', ')}`);
  }
  const server = new SimulatedServer(wire, options);
  await server.listen();
  return server;
}
