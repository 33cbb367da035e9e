import { afterEach } from 'bun:test';
import { type Simulator, startSimulator } from '../../simulators/index.ts';
import { type ChatServer, type ChatServerOptions, startChatServer } from './chat-server.ts';
import { startTestGateway, type TestGateway } from './gateway.ts';

/** Starts parts for one test and stops them after it, the newest first. Call it once at the top of a test file. */
export function runningParts() {
  const running: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const part of running.splice(0).reverse()) await part.stop();
  });
  const keep = async <Part extends { stop(): Promise<void> }>(starting: Promise<Part>): Promise<Part> => {
    const part = await starting;
    running.push(part);
    return part;
  };
  return {
    simulator: (...args: Parameters<typeof startSimulator>): Promise<Simulator> => keep(startSimulator(...args)),
    chatServer: (options: ChatServerOptions): Promise<ChatServer> => keep(startChatServer(options)),
    gateway: (...args: Parameters<typeof startTestGateway>): Promise<TestGateway> => keep(startTestGateway(...args)),
  };
}

export const servedBy = (response: Response): string | null => response.headers.get('x-swarmrouter-target');

/** The chat requests that a simulator saw. */
export const inference = (upstream: Simulator) =>
  upstream.log.filter((request) => request.path.endsWith('/chat/completions'));
