/**
 * `npm run bench:key-timing`: whether the time that a refusal takes tells how near a credential was. Welch's t-test over
 * near misses of real credentials and random ones, in random turns, as dudect does (https://eprint.iacr.org/2016/1123);
 * |t| above 4.5 would be a leak.
 */
import { randomBytes } from 'node:crypto';
import { KeyBook } from '../src/admission/key-book.ts';
import { generateKey, KEY_START } from '../src/admission/key-format.ts';
import { KeyGuard } from '../src/admission/key-guard.ts';
import { newKey } from '../src/admission/new-key.ts';
import { Secret } from '../src/core/secret.ts';
import { systemClock } from '../src/system-clock.ts';
import { hashKey, madeKey } from '../test/support/client-keys.ts';
import { keep } from './micro/harness.ts';
import { percentile } from './statistics.ts';

const MOST_T = 4.5;
const KEYS = 1_000;
/** Each with credentials made anew, in random turns: where they lie in memory must not be what tells the kinds apart. */
const ROUNDS = 100;
const CREDENTIALS_A_ROUND = 1_000;
const REFUSALS_A_ROUND = 8_000;
const WARM_ROUNDS = 10;
/** What the machine did meanwhile is no time of ours: the slowest samples of both kinds are left out alike. */
const KEPT_SHARE = 0.95;

interface Comparison {
  readonly name: string;
  /** A credential as one of the two kinds; made the same way for both, so that nothing else tells them apart. */
  readonly wrong: (isNear: boolean) => string;
  /** False: it was let in. */
  readonly refuses: (headers: Headers) => boolean;
}

const made = Array.from({ length: KEYS }, (_, at) => {
  const { text, version } = newKey(hashKey, 0);
  return { text: text.reveal(), key: madeKey(`key-${at}`, { versions: [version] }).key };
});
/** As many: what the processor learns of texts that come again is the same for both kinds. */
const known = made.map(({ text }) => text);
const strangers = made.map(() => generateKey());
const [operatorKey, otherKey] = [randomBytes(24).toString('hex'), randomBytes(24).toString('hex')];
const book = new KeyBook(
  hashKey,
  made.map(({ key }) => key),
);
const guard = new KeyGuard({ book, clock: systemClock, loopback: false, operatorKey: new Secret(operatorKey) });

const refuses = (headers: Headers): boolean => !guard.admit(headers).ok;
const wrongAdminKey = (isNear: boolean): string => {
  const end = randomBytes(2).toString('hex').toUpperCase();
  return Buffer.from((isNear ? operatorKey : otherKey).slice(0, -4) + end).toString('latin1');
};

const comparisons: readonly Comparison[] = [
  {
    name: 'client keys',
    refuses,
    wrong: (isNear) => besides(oneOf(isNear ? known : strangers)),
  },
  { name: 'the admin key', refuses, wrong: wrongAdminKey },
];
/** Shows that this measurement would see a leak. */
const control: Comparison = { name: 'a comparison that stops early', refuses: stopsEarly, wrong: wrongAdminKey };

const results = comparisons.map((comparison) => ({ name: comparison.name, ...compare(comparison) }));
const seen = { name: control.name, ...compare(control) };
const isBlind = Math.abs(seen.t) < MOST_T;
const ok = !isBlind && results.every(({ t }) => Math.abs(t) < MOST_T);
if (process.argv.includes('--json'))
  console.log(JSON.stringify({ ok, mostT: MOST_T, results, control: seen }, null, 2));
else {
  for (const { name, t, nearNs, randomNs, samples } of [...results, seen]) {
    const means = `${nearNs.toFixed(1)} ns for near misses, ${randomNs.toFixed(1)} ns for random ones`;
    console.log(`${name}: t = ${t.toFixed(2)} over ${samples} refusals (${means})`);
  }
  console.log(verdict());
}
process.exitCode = ok ? 0 : 1;

function verdict(): string {
  if (isBlind) return 'Nothing can be said: not even a comparison that stops early shows. The machine is too busy.';
  return ok ? `Nothing to be told from the time (|t| < ${MOST_T}).` : `The time tells something: |t| ≥ ${MOST_T}.`;
}

/** As nobody should compare a secret. */
function stopsEarly(headers: Headers): boolean {
  const given = headers.get('authorization') ?? '';
  const expected = `Bearer ${operatorKey}`;
  for (let at = 0; at < expected.length; at++) if (given[at] !== expected[at]) return true;
  return given.length !== expected.length;
}

function oneOf<Item>(items: readonly Item[]): Item {
  return items[Math.floor(Math.random() * items.length)] as Item;
}

/** Another key whose random part is the same but for its last character, with the checksum that fits. */
function besides(text: string): string {
  const random = text.slice(KEY_START.length, -6);
  const digits = [...(random.slice(0, -1) + (random.endsWith('A') ? 'B' : 'A'))].map(digitOf);
  return generateKey((bytes) => bytes.set(digits));
}

/** Its place among the digits of keys: 0 to 9, A to Z, a to z. */
function digitOf(character: string): number {
  const code = character.charCodeAt(0);
  if (code <= 57) return code - 48;
  return code <= 90 ? code - 55 : code - 61;
}

interface Credential {
  readonly isNear: boolean;
  readonly headers: Headers;
}

function compare({ wrong, refuses: refusesOne }: Comparison) {
  const times: { readonly near: number[]; readonly random: number[] } = { near: [], random: [] };
  for (let round = -WARM_ROUNDS; round < ROUNDS; round++) {
    const credentials = Array.from({ length: CREDENTIALS_A_ROUND }, (): Credential => {
      const isNear = Math.random() < 0.5;
      return { isNear, headers: new Headers({ authorization: `Bearer ${wrong(isNear)}` }) };
    });
    for (let count = 0; count < REFUSALS_A_ROUND; count++) {
      const { isNear, headers } = oneOf(credentials);
      const tookNs = refusalNs(refusesOne, headers);
      if (round >= 0) times[isNear ? 'near' : 'random'].push(tookNs);
    }
  }
  const most = percentile(Float64Array.from([...times.near, ...times.random]).sort(), KEPT_SHARE);
  const [nearOnes, randomOnes] = [
    statistics(times.near.filter((ns) => ns <= most)),
    statistics(times.random.filter((ns) => ns <= most)),
  ];
  const spread = Math.sqrt(nearOnes.variance / nearOnes.count + randomOnes.variance / randomOnes.count);
  return {
    t: (nearOnes.mean - randomOnes.mean) / spread,
    nearNs: nearOnes.mean,
    randomNs: randomOnes.mean,
    samples: nearOnes.count + randomOnes.count,
  };
}

function refusalNs(refusesOne: Comparison['refuses'], headers: Headers): number {
  const atNs = Bun.nanoseconds();
  const refused = refusesOne(headers);
  const tookNs = Bun.nanoseconds() - atNs;
  keep(refused);
  if (!refused) throw new Error('a wrong credential was let in');
  return tookNs;
}

function statistics(values: readonly number[]) {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  return { count, mean, variance };
}
