/**
 * A client process with many open streams, to be killed: `bun bench/crowd.ts PORT COUNT PER_SECOND`. Prints COUNT once
 * each of them has sent a token.
 */
import { StreamCrowd } from './load.ts';
import { httpRequest, requestBody } from './wire.ts';

const [port, count, perSecond] = process.argv.slice(2).map(Number) as [number, number, number];
const crowd = await StreamCrowd.open({
  port,
  request: httpRequest(port, requestBody(true)),
  count,
  perSecond,
  timeoutMs: 60_000,
});
console.log(crowd.begun);
setInterval(() => undefined, 60_000);
