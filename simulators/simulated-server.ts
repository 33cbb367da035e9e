import type { Fault } from './fault.ts';
import { isObject, type JsonObject } from './generation/chat-request.ts';
import type { Answer } from './server/answer.ts';
import type { ResponseWire } from './server/connection.ts';
import { serveControl } from './server/control.ts';
import type { Wire } from './server/exchange.ts';
import { answerInPlace, spoil } from './server/fault-answers.ts';
import { FaultSchedule } from './server/fault-schedule.ts';
import type { HttpRequest } from './server/http-request.ts';
import { ModelShelf } from './server/model-shelf.ts';
import { RawServer } from './server/raw-server.ts';
import type { RequestRecord } from './server/request-record.ts';
import { sendAnswer } from './server/send-answer.ts';
import { sleep, untilGone } from './server/sleep.ts';
import type { Behaviour, MemoryCounts, SimulatedRequest, Simulator, SimulatorOptions } from './types.ts';

const DEFAULTS: Behaviour = {
  models: [{ id: 'sim-model' }],
  slots: 1024,
  firstTokenMs: 5,
  earlyHeaders: false,
  tokensPerSecond: Number.POSITIVE_INFINITY,
  promptTokensPerSecond: Number.POSITIVE_INFINITY,
  prefillTokensPerSecond: Number.POSITIVE_INFINITY,
  prefixCache: false,
  reportsCachedTokens: false,
  cutsLongPrompts: false,
  replyTokens: 12,
  reply: null,
  loadMs: 20,
  jitLoading: true,
  nativeApi: true,
  build: 11_000,
  sleepIdleMs: null,
  loading: false,
  apiKey: null,
  keepAliveIdleMs: null,
  asyncFilter: true,
  echoesBeginning: false,
};

const DEFAULT_LOG_LIMIT = 10_000;

/** A wire on a socket, with its models, its faults and its log. */
export class SimulatedServer implements Simulator {
  readonly kind;
  readonly name: string;
  readonly #wire: Wire;
  readonly #host: string;
  readonly #server: RawServer;
  readonly #faults = new FaultSchedule();
  readonly #faultFor: NonNullable<SimulatorOptions['faultFor']>;
  readonly #onGeneration: NonNullable<SimulatorOptions['onGeneration']>;
  readonly #log: RequestRecord[] = [];
  readonly #logLimit: number;
  #behaviour: Behaviour;
  #shelf: ModelShelf;
  #active = 0;
  #peakActive = 0;

  constructor(wire: Wire, options: SimulatorOptions) {
    const {
      kind,
      name = kind,
      port = 0,
      host = '127.0.0.1',
      logLimit = DEFAULT_LOG_LIMIT,
      faultFor,
      onGeneration,
      ...behaviour
    } = options;
    this.#faultFor = faultFor ?? (() => null);
    this.#onGeneration = onGeneration ?? (() => undefined);
    this.kind = kind;
    this.name = name;
    this.#wire = wire;
    this.#host = host;
    this.#logLimit = logLimit;
    this.#behaviour = { ...DEFAULTS, ...wire.defaults, ...defined(behaviour) };
    this.#shelf = new ModelShelf(this.#behaviour.models, this.#behaviour.slots);
    this.#server = new RawServer({
      host,
      port,
      handle: (request, response) => this.#handle(request, response),
      idleMs: () => this.#behaviour.keepAliveIdleMs,
    });
  }

  get port(): number {
    return this.#server.port;
  }

  get url(): string {
    return `http://${this.#host}:${this.port}`;
  }

  get baseUrl(): string {
    return `${this.url}${this.#wire.basePath}`;
  }

  get log(): readonly SimulatedRequest[] {
    return this.#log;
  }

  clearLog(): void {
    this.#log.length = 0;
  }

  async setFault(fault: Fault | null): Promise<void> {
    const refused = this.#faults.standing?.kind === 'refuse';
    this.#faults.set(fault);
    if (fault?.kind === 'refuse') this.#server.refuse();
    else if (refused) await this.#server.listen();
  }

  faultNext(count: number, fault: Fault): void {
    this.#faults.next(count, fault);
  }

  setBehaviour(changes: Partial<Behaviour>): void {
    this.#behaviour = { ...this.#behaviour, ...defined(changes) };
    if (changes.models === undefined && changes.slots === undefined) return;
    this.#shelf = new ModelShelf(this.#behaviour.models, this.#behaviour.slots);
  }

  behaviour(): Behaviour {
    return this.#behaviour;
  }

  active(): number {
    return this.#active;
  }

  peakActive(): number {
    return this.#peakActive;
  }

  memory(): MemoryCounts {
    return this.#shelf.counts();
  }

  connections(): number {
    return this.#server.connections;
  }

  kill(): Promise<void> {
    return this.#server.kill();
  }

  revive(): Promise<void> {
    return this.#server.listen();
  }

  stop(): Promise<void> {
    return this.#server.kill();
  }

  async #handle(request: HttpRequest, wire: ResponseWire): Promise<void> {
    const body = parseBody(request.rawBody);
    if (request.path.startsWith('/_sim/')) {
      return serveControl(this, request, body, wire);
    }
    const inference = this.#wire.isInference(request);
    const fault = this.#faults.take(inference) ?? (inference ? this.#faultFor(request) : null);
    if (inference) this.#peakActive = Math.max(this.#peakActive, ++this.#active);
    const record = this.#record(request, body, fault, inference);
    if (inference) this.#onGeneration(record, fault);
    try {
      await this.#serve(request, body, wire, fault, record);
    } finally {
      if (inference) this.#active--;
      record.aborted = wire.gone.aborted;
      record.endedAtMs = performance.now();
    }
  }

  async #serve(
    request: HttpRequest,
    body: JsonObject | null,
    wire: ResponseWire,
    fault: Fault | null,
    record: RequestRecord,
  ): Promise<void> {
    if (fault?.kind === 'slow') await sleep(fault.extraMs, wire.gone);
    if (fault?.kind === 'hang') return untilGone(wire.gone);
    if (fault?.kind === 'reset-before-headers') return wire.reset();
    if (fault?.kind === 'junk') {
      await wire.write('SSH-2.0-OpenSSH_9.6\r\n');
      return wire.close();
    }
    const { errorBody, streamErrorBody = errorBody(500, 'simulated error in the stream') } = this.#wire;
    const streamed = body?.['stream'] === true;
    const inPlace = fault === null ? null : answerInPlace(fault, streamed, errorBody);
    const answer = inPlace ?? (await this.#answer(request, withStreamFlag(body, fault), wire, record));
    const spoilt = fault === null || inPlace !== null ? answer : spoil(answer, fault, streamErrorBody);
    const headers = { ...this.#wire.headers, ...spoilt.headers };
    await sendAnswer(wire, { ...spoilt, headers }, fault, record);
  }

  #answer(
    request: HttpRequest,
    body: JsonObject | null,
    wire: ResponseWire,
    record: RequestRecord,
  ): Answer | Promise<Answer> {
    const exchange = {
      request,
      query: new URLSearchParams(request.query),
      body,
      gone: wire.gone,
      behaviour: this.#behaviour,
      shelf: this.#shelf,
      serverName: this.name,
      reports: (usage: JsonObject) => {
        record.reports = usage;
      },
    };
    const { apiKey } = this.#behaviour;
    const refusal = apiKey === null ? null : this.#wire.refuseStranger(exchange, apiKey);
    return refusal ?? this.#wire.answer(exchange);
  }

  #record(request: HttpRequest, body: unknown, fault: Fault | null, inference: boolean): RequestRecord {
    const record: RequestRecord = {
      method: request.method,
      path: request.path,
      query: request.query,
      headers: request.headers,
      body,
      rawBody: request.rawBody,
      startedAtMs: performance.now(),
      endedAtMs: null,
      status: null,
      aborted: false,
      tokensSent: 0,
      answered: '',
      concurrentAtStart: inference ? this.#active : 0,
      fault: fault?.kind ?? null,
      reports: null,
    };
    if (this.#logLimit > 0) this.#log.push(record);
    if (this.#log.length > this.#logLimit) this.#log.shift();
    return record;
  }

  listen(): Promise<void> {
    return this.#server.listen();
  }
}

function withStreamFlag(body: JsonObject | null, fault: Fault | null): JsonObject | null {
  if (fault?.kind === 'json-for-stream') return { ...body, stream: false };
  if (fault?.kind === 'stream-for-whole') return { ...body, stream: true };
  return body;
}

function parseBody(raw: string): JsonObject | null {
  if (raw === '') return null;
  try {
    const value: unknown = JSON.parse(raw);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** Without the keys whose value is undefined, which would hide a default. */
function defined<Options extends object>(options: Options): Partial<Options> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<Options>;
}
