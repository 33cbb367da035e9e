import { describe, expect, test } from 'bun:test';
import pico from 'picocolors';
import { stepsNote, stepsTable } from './plan-table.ts';
import { statusText } from './status.ts';
import { clip } from './table.ts';
import { topText } from './top-text.ts';

const plain = (text: string): string => text;

const STEP = {
  target: 'lmstudio',
  place: 'local',
  model: 'qwen2.5-7b',
  seconds: 2.76,
  first_token_seconds: 0.76,
  terms: { load: 0, wait: 0.5, prefill: 0.25, decode: 2, network: 0.01 },
  cached_tokens_estimate: 1200,
  price_usd: 0,
  measured: true,
  waits: false,
  reason: 'cheapest',
};

const LEARNED = {
  model: 'qwen2.5-7b',
  prefill_tokens_per_second: 812.3,
  decode_tokens_per_second: 41.3,
  load_seconds: null,
  network_seconds: 0.0012,
  slots: 4,
  bytes_per_token: 4.1,
  context_length: null,
  samples: 12,
  conversations: 3,
};

function statusOf(uptime: number, requests: number, change: object = {}) {
  const target = {
    id: 'lmstudio',
    health: 'up',
    place: 'local',
    models: [],
    slots: 4,
    in_flight: 3,
    queued: 2,
    requests,
  };
  return { version: '1', uptime_seconds: uptime, strategy: 'fastest', targets: [{ ...target, ...change }] };
}

describe('the table of a plan', () => {
  test('shows each term of the cost; what was not estimated is a dash', () => {
    const cloud = {
      ...STEP,
      target: 'cloud',
      seconds: null,
      terms: null,
      cached_tokens_estimate: null,
      price_usd: null,
    };
    const [, first, second] = stepsTable([STEP, cloud], plain).split('\n');
    expect(first).toMatch(/^lmstudio +local +qwen2\.5-7b +2\.76 +0 +0\.500 +0\.250 +2\.00 +0\.010 +1200 +0 +cheapest$/);
    expect(second).toMatch(/^cloud +local +qwen2\.5-7b( +-){8} +cheapest$/);
    expect(stepsNote([STEP, cloud])).toEqual([]);
  });

  test('marks what is only the median of the fleet, and prices what costs', () => {
    const guessed = { ...STEP, measured: false, price_usd: 0.00042 };
    expect(stepsTable([guessed], plain)).toMatch(/ ~2\.76 .* \$0\.000420 /);
    expect(stepsNote([guessed])[0]).toContain('nothing was measured there yet');
  });
});

describe('learned speeds and the load of a server', () => {
  const body = statusOf(10, 5, { learned: [LEARNED], load: { running: 3, waiting: 1, cache_usage: 0.5 } });

  test('are in swarmrouter status', () => {
    const text = statusText(body, 'http://here', false);
    expect(text).toMatch(/^lmstudio +qwen2\.5-7b +812 +41 +- +0\.001 +4 +- +12$/m);
    expect(text).toContain('lmstudio says: 3 running, 1 waiting, cache 50 % full');
    const noted = statusText(statusOf(1, 0, { notes: ['it lists too much'] }), 'http://here', false);
    expect(noted).toContain('lmstudio: it lists too much');
    expect(statusText(statusOf(10, 5), 'http://here', false)).not.toContain('PREFILL');
  });

  test('are in swarmrouter top, beside the slots in use and the requests since the frame before', () => {
    const before = { status: statusOf(8, 1), decisions: null };
    const view = { url: 'http://here', colours: false, problem: null };
    const text = topText({ status: body, decisions: null }, { ...view, before });
    expect(text).toContain('2.0 requests/s');
    expect(text).toMatch(/^lmstudio +up +local +██████░░ 3\/4 \+2 +2\.0 /m);
    expect(text).toMatch(/^lmstudio +qwen2\.5-7b +812 +41 /m);
    // Started anew in between: its counts began again.
    const restarted = topText({ status: statusOf(1, 0), decisions: null }, { ...view, before });
    expect(restarted).toContain(', - requests/s');
  });
});

test('a name with control characters of a terminal does not reach it', () => {
  const status = statusOf(1, 0, { models: [{ id: 'evil\u001b[2Jmodel', state: 'loaded' }] });
  const text = topText({ status, decisions: null }, { before: null, url: 'u', colours: false, problem: null });
  expect(text).toContain('evil [2Jmodel');
  expect(text).not.toContain('\u001b');
});

test('a line is cut at the width of the screen, colours not counted and always ended', () => {
  const { red } = pico.createColors(true);
  expect(clip('short', 5)).toBe('short');
  expect(clip('too long', 5)).toBe('too …');
  expect(clip(`${red('down')} and more`, 8)).toBe(`${red('down')} an…`);
  expect(clip(red('downwards'), 5)).toBe(`${red('down')}…`);
});
