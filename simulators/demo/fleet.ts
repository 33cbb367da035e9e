import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { createGateway, type Gateway } from '../../src/gateway.ts';
import { type Simulator, startSimulator } from '../index.ts';

/** The demo's world: two machines with LM Studio, two cloud providers, and a real gateway in front of them. */
export interface DemoFleet {
  readonly gateway: Gateway;
  /** By the name that the gateway gives each target. */
  readonly nodes: { readonly lmstudio: Simulator; readonly 'lmstudio-2': Simulator };
  stop(): Promise<void>;
}

const SLOTS = 2;
const REPLY = 'A bee that finds good flowers dances for the others, and the swarm flies where it is best.';

export async function startFleet(port: number): Promise<DemoFleet> {
  const local = { kind: 'lm-studio', models: [{ id: 'qwen2.5-7b-instruct' }], slots: SLOTS, reply: REPLY } as const;
  const desk = await startSimulator({ ...local, firstTokenMs: 120, tokensPerSecond: 60 });
  const laptop = await startSimulator({ ...local, firstTokenMs: 180, tokensPerSecond: 40 });
  const openRouter = await startSimulator({
    kind: 'openrouter',
    apiKey: 'demo-key-openrouter',
    models: [{ id: 'openai/gpt-4o-mini' }],
    reply: REPLY,
    firstTokenMs: 250,
    tokensPerSecond: 120,
  });
  const azure = await startSimulator({
    kind: 'azure-openai',
    apiKey: 'demo-key-azure',
    models: [{ id: 'team-gpt4o', underlyingModel: 'gpt-4o-2024-11-20' }],
    reply: REPLY,
    firstTokenMs: 300,
    tokensPerSecond: 90,
  });
  const dataDir = mkdtempSync(join(tmpdir(), 'swarmrouter-demo-'));
  const loaded = loadConfig({
    flags: {},
    // Just what a person would put into .env.
    environment: {
      LMSTUDIO_URL: `${desk.baseUrl},${laptop.baseUrl}`,
      OPENROUTER_API_KEY: 'demo-key-openrouter',
      OPENROUTER_BASE_URL: openRouter.baseUrl,
      OPENROUTER_DEFAULT_MODEL: 'openai/gpt-4o-mini',
      AZURE_ENDPOINT: azure.baseUrl,
      AZURE_API_KEY: 'demo-key-azure',
      AZURE_DEPLOYMENTS: 'gpt-4o=team-gpt4o',
      AZURE_DEFAULT_DEPLOYMENT: 'team-gpt4o',
      SWARMROUTER_PORT: String(port),
      SWARMROUTER_DATA_DIR: dataDir,
      SWARMROUTER_PROBE_INTERVAL: '0.5',
    },
    directory: dataDir,
  });
  if (!loaded.ok) throw new Error(loaded.problems.map((problem) => JSON.stringify(problem)).join('\n'));
  const gateway = await createGateway(loaded.config, { logTo: join(dataDir, 'log.jsonl') });
  await gateway.probed(2_000);
  return {
    gateway,
    nodes: { lmstudio: desk, 'lmstudio-2': laptop },
    stop: async () => {
      await gateway.stop(0);
      await Promise.all([desk, laptop, openRouter, azure].map((simulator) => simulator.stop()));
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
