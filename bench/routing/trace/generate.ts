import { seededRandom } from '../../statistics.ts';
import { blockCount, type Trace, type TraceRequest } from './trace.ts';

/** What the generator aims at: the published statistics of the real trace. */
interface Shape {
  readonly name: string;
  readonly count: number;
  readonly minutes: number;
  /** Of prompts that begin a conversation; those that carry one on are longer. */
  readonly inputMedian: number;
  /** Of the logarithm; with the median it gives the mean, and nearly the 99th percentile. */
  readonly inputSigma: number;
  readonly inputMost: number;
  readonly outputMedian: number;
  readonly outputSigma: number;
  readonly outputMost: number;
  /** Of the requests: carry on a conversation, prompt and answer included. */
  readonly continued: number;
  /** All prompts begin with the same block. */
  readonly commonSystem: boolean;
}

const CONVERSATION: Shape = {
  name: 'conversation (generated)',
  count: 12_031,
  minutes: 59,
  inputMedian: 6_350,
  inputSigma: 1.1,
  inputMost: 126_195,
  outputMedian: 303,
  outputSigma: 0.5,
  outputMost: 2_000,
  continued: 0.35,
  commonSystem: true,
};

const CODE: Shape = {
  name: 'code (generated)',
  count: 8_819,
  minutes: 57,
  inputMedian: 1_469,
  inputSigma: 0.82,
  inputMost: 7_437,
  outputMedian: 13,
  outputSigma: 1.2,
  outputMost: 1_899,
  continued: 0,
  commonSystem: false,
};

export function generatedTraces(seed: number): Trace[] {
  return [CONVERSATION, CODE].map((shape, at) => generate(shape, seed + at));
}

function generate(shape: Shape, seed: number): Trace {
  const random = seededRandom(seed);
  const makeBlocks = blockMaker(shape);
  const open: TraceRequest[] = [];
  const requests: TraceRequest[] = [];
  let atMs = 0;
  const gapMs = (shape.minutes * 60_000) / shape.count;
  for (let at = 0; at < shape.count; at++) {
    atMs += -Math.log(1 - random()) * gapMs;
    const earlier = random() < shape.continued ? pickOpen(open, random) : undefined;
    const drawn = lognormal(random, shape.inputMedian, shape.inputSigma, shape.inputMost);
    const grown = earlier === undefined ? drawn : earlier.inputTokens + earlier.outputTokens + Math.ceil(drawn / 20);
    const inputTokens = Math.min(shape.inputMost, grown);
    const request: TraceRequest = {
      arrivalMs: atMs,
      inputTokens,
      outputTokens: lognormal(random, shape.outputMedian, shape.outputSigma, shape.outputMost),
      blocks: makeBlocks(inputTokens, earlier),
    };
    requests.push(request);
    open.push(request);
    // Who has not gone on after a while never will.
    if (open.length > 200) open.shift();
  }
  return {
    name: shape.name,
    says: 'made by the seeded generator after published statistics, because the recorded trace is not at hand',
    generated: true,
    requests,
  };
}

/** Takes it out: each request is carried on once. */
function pickOpen(open: TraceRequest[], random: () => number): TraceRequest | undefined {
  return open.splice(Math.floor(random() * open.length), 1)[0];
}

function blockMaker(shape: Shape): (inputTokens: number, earlier: TraceRequest | undefined) => number[] {
  let next = 1;
  return (inputTokens, earlier) => {
    const blocks = shape.commonSystem ? [0] : [];
    // The last block of the earlier prompt was partial: its id does not come again.
    for (const block of earlier?.blocks.slice(blocks.length, -1) ?? []) blocks.push(block);
    const count = blockCount(inputTokens);
    while (blocks.length < count) blocks.push(next++);
    return blocks.slice(0, count);
  };
}

function lognormal(random: () => number, median: number, sigma: number, most: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.min(most, Math.max(1, Math.round(median * Math.exp(sigma * normal))));
}
