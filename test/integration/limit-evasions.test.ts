import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type Simulator, startSimulator } from '../../simulators/index.ts';
import { admin, bearer } from '../support/admin-client.ts';
import { startTestGateway, type TestGateway, targetFor, until } from '../support/gateway.ts';
import { inference } from '../support/running.ts';

const CLOUD_MODEL = 'openai/gpt-4o-mini';
let on: TestGateway;
let local: Simulator;
let cloud: Simulator;
let made = 0;

beforeAll(async () => {
  local = await startSimulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 6, slots: 64 });
  cloud = await startSimulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }], replyTokens: 6 });
  on = await startTestGateway([targetFor(local, { maxConcurrent: 64 }), targetFor(cloud)], {
    modelAliases: new Map([['cheap', 'qwen']]),
    standIn: 'unknown',
    maxRetries: 0,
  });
});
afterAll(async () => {
  await on.stop();
  await Promise.all([local.stop(), cloud.stop()]);
});

interface Sent {
  readonly body?: object;
  readonly headers?: Record<string, string>;
  readonly query?: string;
}

/** A new key with these limits, in a project of its own unless one is given. */
async function keyWith(body: object): Promise<{ readonly id: string; readonly text: string }> {
  const name = `key-${++made}`;
  const reply = await admin(on, 'POST', 'keys', { name, project: name, ...body });
  return { id: reply.body.id, text: reply.body.key };
}

const ask = (text: string, { body = {}, headers, query = '' }: Sent = {}) =>
  fetch(`${on.url}/v1/chat/completions${query}`, {
    method: 'POST',
    headers: { ...bearer(text), 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'qwen', messages: [{ role: 'user', content: 'hello there' }], ...body }),
  });
const statusOf = async (text: string, sent?: Sent): Promise<number> => {
  const reply = await ask(text, sent);
  await reply.text();
  return reply.status;
};
const limit = (scope: string, name: string, rpm: number) => admin(on, 'POST', 'limits', { scope, name, rpm });
const unlimit = (scope: string, name: string) =>
  admin(on, 'DELETE', `limits?scope=${scope}&name=${encodeURIComponent(name)}`);
const left = (reply: Response, what: 'requests' | 'tokens') =>
  Number(reply.headers.get(`x-ratelimit-remaining-${what}`));

describe('S-19: each way of asking counts as a request of its key', () => {
  const ways: Record<string, Sent> = {
    'under an alias of the model': { body: { model: 'cheap' } },
    'under its name in other letters': { body: { model: 'QWEN' } },
    'pinned to its server': { body: { model: 'lmstudio/qwen' } },
    'as any model': { body: { model: 'auto' } },
    'without a model': { body: { model: undefined } },
    'with blanks around the name': { body: { model: ' qwen ' } },
    'for a model that is nowhere': { body: { model: 'lmstudio/none' } },
    'for a model of another place': { body: { model: CLOUD_MODEL } },
    streamed: { body: { stream: true } },
    'as another user': { body: { user: 'somebody-else', metadata: { user_id: '2' } } },
    'in another session': { headers: { 'x-session-id': 'another' } },
    'from another address, as it says': { headers: { 'x-forwarded-for': '203.0.113.7', 'x-real-ip': '203.0.113.8' } },
    'forwarded for somebody': { headers: { forwarded: 'for=203.0.113.9', 'true-client-ip': '203.0.113.9' } },
    'under the id of an earlier request': { headers: { 'x-request-id': 'the-same' } },
    'with a key for doing it once': { headers: { 'idempotency-key': 'the-same' } },
    'as a retry': { headers: { 'x-stainless-retry-count': '1' } },
    'on another route': { headers: { 'x-swarmrouter-route': 'fastest' } },
    'fenced in': { headers: { 'x-swarmrouter-place': 'local', 'x-swarmrouter-strict-model': 'true' } },
    'with a query': { query: '?api-version=2024-10-21&key=1' },
    'with another method in a header': { headers: { 'x-http-method-override': 'GET' } },
  };
  for (const [way, sent] of Object.entries(ways)) {
    test(way, async () => {
      const { text } = await keyWith({ limits: { rpm: 2 } });
      expect(await statusOf(text, sent)).not.toBe(429);
      expect(await statusOf(text, sent)).not.toBe(429);
      expect([await statusOf(text, sent), await statusOf(text)]).toEqual([429, 429]);
    });
  }

  test('in another carrier of the key, in other letters', async () => {
    const { text } = await keyWith({ limits: { rpm: 3 } });
    const carriers: Record<string, string>[] = [
      { 'x-api-key': text },
      { 'api-key': text },
      { authorization: `bearer ${text}` },
    ];
    const by = async (headers: Record<string, string>) => {
      const body = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] });
      const all = { 'content-type': 'application/json', ...headers };
      return (await fetch(`${on.url}/v1/chat/completions`, { method: 'POST', headers: all, body })).status;
    };
    for (const headers of carriers) expect(await by(headers)).toBe(200);
    for (const headers of carriers) expect(await by(headers)).toBe(429);
  });

  test('that fails, and that its client leaves', async () => {
    const { text } = await keyWith({ limits: { rpm: 2 } });
    await local.faultNext(1, { kind: 'status', status: 500 });
    expect(await statusOf(text, { body: { model: 'lmstudio/qwen' } })).toBe(502);
    const leaving = new AbortController();
    const reply = await fetch(`${on.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { ...bearer(text), 'content-type': 'application/json' },
      body: JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'hi' }] }),
      signal: leaving.signal,
    });
    await reply.body?.getReader().read();
    leaving.abort();
    expect(await statusOf(text)).toBe(429);
  });

  test('with the old and the new text of a key that was rotated', async () => {
    const { id, text } = await keyWith({ limits: { rpm: 2 } });
    const { body } = await admin(on, 'POST', `keys/${id}/rotate`, {});
    expect([await statusOf(text), await statusOf(body.key)]).toEqual([200, 200]);
    expect([await statusOf(text), await statusOf(body.key)]).toEqual([429, 429]);
  });

  test.each([
    ['an alias', 'Cheap', 'qwen'],
    ['a name that pins its server', 'lmstudio/QWEN', 'cheap'],
    ['its name without its maker', 'gpt-4o-mini', CLOUD_MODEL],
  ])('of a model whose limit is under %s', async (_what, name, model) => {
    const { text } = await keyWith({});
    expect((await limit('model', name, 1)).status).toBeLessThan(300);
    try {
      expect([await statusOf(text, { body: { model } }), await statusOf(text, { body: { model } })]).toEqual([
        200, 429,
      ]);
      const other = model === CLOUD_MODEL ? 'qwen' : CLOUD_MODEL;
      for (let turn = 0; turn < 2; turn++) expect(await statusOf(text, { body: { model: other } })).toBe(200);
    } finally {
      await unlimit('model', name);
    }
  });

  test('with several keys of one project or organisation', async () => {
    await keyWith({ name: 'first', project: 'crowd' });
    expect((await limit('project', 'crowd', 2)).status).toBeLessThan(300);
    const crowd = await Promise.all([1, 2, 3].map(() => keyWith({ project: 'crowd' })));
    const statuses: number[] = [];
    for (const { text } of crowd) statuses.push(await statusOf(text));
    expect(statuses).toEqual([200, 200, 429]);
  });
});

describe('S-19: each token counts, before it is used and after', () => {
  const LIMIT = 10_000;
  /** The tokens that a request takes when it is let in, if it is; else those that it asks for. */
  async function taken(body: object): Promise<number> {
    const { text } = await keyWith({ limits: { tpm: LIMIT } });
    const reply = await ask(text, { body });
    const said = await reply.text();
    return reply.status === 429 ? Number(/this request needs (\d+)/.exec(said)?.[1]) : LIMIT - left(reply, 'tokens');
  }

  const ways: [string, object, number][] = [
    ['many answers', { n: 20, max_tokens: 1_000 }, 20_000],
    ['their number as text', { n: '20', max_tokens: 1_000 }, 20_000],
    ['answers that are not shown', { best_of: 20, max_tokens: 1_000 }, 20_000],
    ['a long answer', { max_tokens: 50_000 }, 50_000],
    ['a long answer under its other name', { max_completion_tokens: 50_000 }, 50_000],
    ['the greater of two limits', { max_tokens: 1, max_completion_tokens: 50_000 }, 50_000],
    ['a long prompt', { max_tokens: 1, messages: [{ role: 'user', content: 'a'.repeat(90_000) }] }, 30_000],
    ['a prompt in parts', { max_tokens: 1, messages: [{ role: 'user', content: parts(900, 100) }] }, 30_000],
    ['what the model said before', { max_tokens: 1, messages: said('a'.repeat(90_000)) }, 30_000],
    ['thoughts that it had', { max_tokens: 1, messages: said(`${'a'.repeat(90_000)}</think>ok`) }, 30_000],
    [
      'tools',
      { max_tokens: 1, tools: [{ type: 'function', function: { name: 'f', description: 'a'.repeat(90_000) } }] },
      30_000,
    ],
    [
      'a form of the answer',
      { max_tokens: 1, response_format: { type: 'json_schema', json_schema: { a: 'a'.repeat(90_000) } } },
      30_000,
    ],
    ['pictures', { max_tokens: 1, messages: [{ role: 'user', content: pictures(20) }] }, 20_000],
  ];
  for (const [way, body, least] of ways) {
    test(way, async () => {
      expect(await taken(body)).toBeGreaterThanOrEqual(least);
    });
  }

  test('an answer without a limit counts as usual, and as it was in the end', async () => {
    const { text } = await keyWith({ limits: { tpm: LIMIT } });
    const first = await ask(text);
    await first.text();
    const second = await ask(text, { body: { stream: true, max_tokens: 1 } });
    await second.text();
    // Two words and six: what was expected beyond that was given back.
    const third = await ask(text, { body: { max_tokens: 1 } });
    expect(LIMIT - left(third, 'tokens')).toBeLessThan(100);
  });
});

function parts(count: number, length: number) {
  return Array.from({ length: count }, () => ({ type: 'text', text: 'a'.repeat(length) }));
}
function pictures(count: number) {
  return Array.from({ length: count }, () => ({ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }));
}
function said(content: string) {
  return [
    { role: 'user', content: 'hi' },
    { role: 'assistant', content },
    { role: 'user', content: 'go on' },
  ];
}

test('S-19: requests at once count until they have ended, however they end', async () => {
  const { text } = await keyWith({ limits: { concurrent: 1 } });
  await local.faultNext(1, { kind: 'stall', afterChunks: 1 });
  const leaving = new AbortController();
  const running = await fetch(`${on.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { ...bearer(text), 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'lmstudio/qwen', stream: true, messages: [{ role: 'user', content: 'hi' }] }),
    signal: leaving.signal,
  });
  await running.body?.getReader().read();
  expect(await statusOf(text, { headers: { 'x-forwarded-for': '203.0.113.7' } })).toBe(429);
  leaving.abort();
  await until('its place is free', async () => (await statusOf(text)) === 200);
});

describe('S-19: a model’s limit and budget hold under each of its names', () => {
  for (const name of ['gpt-4o-mini', 'OPENAI/GPT-4O-MINI', `openrouter/${CLOUD_MODEL}`, 'openrouter/gpt-4o-mini']) {
    test(name, async () => {
      const { text } = await keyWith({});
      expect((await limit('model', CLOUD_MODEL, 1)).status).toBeLessThan(300);
      await statusOf(text, { body: { model: CLOUD_MODEL } });
      expect(await statusOf(text, { body: { model: name } })).toBe(429);
      await unlimit('model', CLOUD_MODEL);
    });
  }

  test('also where another model stands in, and where the client writes what its server does not list', async () => {
    const { text } = await keyWith({});
    await limit('model', 'qwen', 1);
    const statuses: number[] = [];
    for (const model of ['auto', 'some-name-that-nobody-has', 'cheap'])
      statuses.push(await statusOf(text, { body: { model } }));
    await unlimit('model', 'qwen');
    expect(statuses).toEqual([200, 429, 429]);
    const budget = { scope: 'model', name: 'Unlisted-Model', limit_tokens: 0, window: 'total' };
    expect((await admin(on, 'POST', 'budgets', budget)).status).toBe(201);
    for (const model of ['openrouter/unlisted-model', 'openrouter/UNLISTED-MODEL']) {
      expect(await statusOf(text, { body: { model } })).toBe(429);
    }
  });
});

describe('S-19: what another parser might read otherwise goes to no server', () => {
  const asWritten = async (text: string, body: string) => {
    const headers = { ...bearer(text), 'content-type': 'application/json' };
    const reply = await fetch(`${on.url}/v1/chat/completions`, { method: 'POST', headers, body });
    const { error } = (await reply.json()) as { error?: { code: string; param: string; message: string } };
    return { status: reply.status, ...error };
  };
  const MESSAGES = '"messages":[{"role":"user","content":"hi"}]';

  test('a parameter in other letters, which Go takes for the one that was checked', async () => {
    const { text } = await keyWith({ allowed_models: ['qwen'] });
    const before = [inference(local).length, inference(cloud).length];
    for (const [member, field] of [
      [`"Model":"${CLOUD_MODEL}"`, 'model'],
      ['"MAX_TOKENS":100000', 'max_tokens'],
      ['"N":20', 'n'],
      ['"meſſages":[]', 'messages'],
      ['"\\u004dodels":["b"]', 'models'],
      ['"Provider":{"order":["dear"]}', 'provider'],
      ['"Chat_template":"x"', 'chat_template'],
      ['"stream_options":{"Include_Usage":false}', 'stream_options.include_usage'],
    ]) {
      const seen = await asWritten(text, `{"model":"qwen",${MESSAGES},${member}}`);
      expect(seen).toMatchObject({ status: 400, code: 'misspelt_parameter', param: field });
      expect(seen.message).toContain(`write it "${field?.split('.').at(-1)}"`);
    }
    expect([inference(local).length, inference(cloud).length]).toEqual(before);
  });

  test('a parameter that is there twice, of which some take the first', async () => {
    const { text } = await keyWith({ allowed_models: ['qwen'] });
    for (const [first, field] of [
      [`"model":"${CLOUD_MODEL}"`, 'model'],
      ['"\\u006dodel":"x"', 'model'],
      ['"messages":[{"role":"user","content":"long"}]', 'messages'],
    ]) {
      const seen = await asWritten(text, `{${first},"model":"qwen",${MESSAGES}}`);
      expect(seen).toMatchObject({ status: 400, code: 'repeated_parameter', param: field });
    }
    // What means nothing to the gateway is between the client and the server.
    const unknown = await asWritten(text, `{"x":1,"X":2,"x":3,"model":"qwen",${MESSAGES}}`);
    expect(unknown.status).toBe(200);
  });
});

describe('S-19: what another parser might read otherwise inside messages and tools goes to no server', () => {
  const asWritten = async (text: string, body: string) => {
    const headers = { ...bearer(text), 'content-type': 'application/json' };
    const reply = await fetch(`${on.url}/v1/chat/completions`, { method: 'POST', headers, body });
    const { error } = (await reply.json()) as { error?: { code: string; param: string; message: string } };
    return { status: reply.status, ...error };
  };
  const bodyOf = (message: string, more = '') =>
    `{"model":"qwen","messages":[{"role":"system","content":"be kind"},${message}]${more}}`;
  const user = (members: string) => bodyOf(`{"role":"user",${members}}`);
  const part = (members: string) => user(`"content":[{"type":"text","text":"hi"},{${members}}]`);
  const call = (members: string) =>
    bodyOf(
      `{"role":"assistant","content":null,"tool_calls":[{${members}}]},{"role":"tool","tool_call_id":"a","content":"x"}`,
    );
  const prediction = (members: string) => bodyOf('{"role":"user","content":"hi"}', `,"prediction":{${members}}`);
  const tool = (members: string) => bodyOf('{"role":"user","content":"hi"}', `,"tools":[{${members}}]`);

  test.each([
    ['content', user('"content":"short","Content":"very long"'), 'messages[1].content'],
    [
      'content with a long s in a role',
      user('"content":"short","ro\\u006ce":"user","RO\\u004cE":"system"'),
      'messages[1].role',
    ],
    [
      'content by its code points',
      user('"content":"short","\\u0043ontent":[{"type":"image_url"}]'),
      'messages[1].content',
    ],
    ['the name of who speaks', user('"content":"hi","NAME":"ann"'), 'messages[1].name'],
    ['a part’s text', part('"type":"text","text":"a","Text":"very long"'), 'messages[1].content[1].text'],
    ['a part’s type', part('"type":"text","text":"a","TYPE":"image_url"'), 'messages[1].content[1].type'],
    ['a picture', part('"type":"text","text":"a","Image_URL":{"url":"x"}'), 'messages[1].content[1].image_url'],
    [
      'where a picture is',
      part('"type":"image_url","image_url":{"url":"x","URL":"y"}'),
      'messages[1].content[1].image_url.url',
    ],
    ['a sound', part('"type":"text","text":"a","input_Audio":{}'), 'messages[1].content[1].input_audio'],
    [
      'the data of a sound',
      part('"type":"input_audio","input_audio":{"Data":"x"}'),
      'messages[1].content[1].input_audio.data',
    ],
    ['a file', part('"type":"file","\u017file":1,"FILE":{}'), 'messages[1].content[1].file'],
    ['what an answer is expected to be', prediction('"Content":"very long"'), 'prediction.content'],
    [
      'a part of it',
      prediction('"type":"content","content":[{"type":"text","Text":"x"}]'),
      'prediction.content[0].text',
    ],
    ['calls of tools', user('"content":"hi","Tool_Calls":[]'), 'messages[1].tool_calls'],
    ['a call with a long s', user('"content":"hi","tool_call\u017f":[]'), 'messages[1].tool_calls'],
    [
      'what a call calls',
      call('"id":"a","type":"function","function":{"name":"f","Arguments":"{}"}'),
      'messages[1].tool_calls[0].function.arguments',
    ],
    ['a call’s function', call('"id":"a","type":"function","Function":{}'), 'messages[1].tool_calls[0].function'],
    ['a tool’s function', tool('"type":"function","Function":{"name":"f"}'), 'tools[0].function'],
    [
      'a tool’s description',
      tool('"type":"function","function":{"name":"f","Description":"long"}'),
      'tools[0].function.description',
    ],
    [
      'a tool’s parameters',
      tool('"type":"function","function":{"name":"f","parameter\u017f":{}}'),
      'tools[0].function.parameters',
    ],
  ])('%s in other letters', async (_what, body, param) => {
    const { text } = await keyWith({});
    const before = inference(local).length;
    const seen = await asWritten(text, body);
    expect(seen).toMatchObject({ status: 400, code: 'misspelt_parameter', param });
    expect(seen.message).toContain(`write it "${param.split('.').at(-1)}"`);
    expect(inference(local).length).toBe(before);
  });

  test.each([
    ['content', user('"content":"very long","content":"short"'), 'messages[1].content'],
    [
      'what an answer is expected to be',
      prediction('"type":"content","content":"very long","content":""'),
      'prediction.content',
    ],
    ['the kind of it', prediction('"type":"x","content":"a","type":"content"'), 'prediction.type'],
    ['content by its code points', user('"\\u0063ontent":"very long","content":"short"'), 'messages[1].content'],
    ['the role', user('"content":"hi","role":"user"'), 'messages[1].role'],
    ['a part’s text', part('"type":"text","text":"very long","text":"a"'), 'messages[1].content[1].text'],
    ['a part’s type', part('"type":"image_url","type":"text","text":"a"'), 'messages[1].content[1].type'],
    [
      'where a picture is',
      part('"type":"image_url","image_url":{"url":"x","url":"y"}'),
      'messages[1].content[1].image_url.url',
    ],
    [
      'arguments of a call',
      call('"id":"a","type":"function","function":{"name":"f","arguments":"long","arguments":"{}"}'),
      'messages[1].tool_calls[0].function.arguments',
    ],
    [
      'a tool’s function',
      tool('"type":"function","function":{"name":"long"},"function":{"name":"f"}'),
      'tools[0].function',
    ],
    [
      'a tool’s parameters',
      tool('"type":"function","function":{"name":"f","parameters":{"a":1},"parameters":{}}'),
      'tools[0].function.parameters',
    ],
    [
      'an option of streams',
      bodyOf('{"role":"user","content":"hi"}', ',"stream_options":{"include_usage":true,"include_usage":false}'),
      'stream_options.include_usage',
    ],
  ])('%s twice', async (_what, body, param) => {
    const { text } = await keyWith({});
    const before = inference(local).length;
    const seen = await asWritten(text, body);
    expect(seen).toMatchObject({ status: 400, code: 'repeated_parameter', param });
    expect(seen.message).toContain(`"${param}" is there more than once`);
    expect(inference(local).length).toBe(before);
  });

  test('what a schema, arguments and members of the client’s own are called is theirs', async () => {
    const { text } = await keyWith({});
    const properties = '{"Role":{"type":"string"},"role":{"type":"string"},"Content":{"Type":"x"},"text":{}}';
    for (const body of [
      user('"content":"hi","vendor_note":{"Role":1,"content":2},"X":1,"x":2'),
      tool(`"type":"function","function":{"name":"f","parameters":{"type":"object","properties":${properties}}}`),
      call('"id":"a","type":"function","function":{"name":"f","arguments":"{\\"Name\\":1,\\"Name\\":2}"}'),
    ]) {
      expect((await asWritten(text, body)).status).toBe(200);
    }
  });

  test('a member of a schema that is there twice is set aside for in whole, whichever of the two counts', async () => {
    const long = 'a'.repeat(3_000);
    const schema = `{"type":"object","description":"${long}","description":"short"}`;
    const body = tool(`"type":"function","function":{"name":"f","parameters":${schema}}`).replace(
      '{',
      '{"max_tokens":10,',
    );
    const needed = (limit: number) => keyWith({ budget: { limit_tokens: limit, window: 'day', hard: true } });
    const [small, large] = [await needed(3_500), await needed(6_000)];
    expect(await asWritten(small.text, body)).toMatchObject({ status: 429, code: 'insufficient_quota' });
    expect((await asWritten(large.text, body)).status).toBe(200);
    const once = body.replace(`"description":"${long}",`, '');
    expect((await asWritten(small.text, once)).status).toBe(200);
  });
});

describe('I6: no request is so large that it is on record nowhere', () => {
  const huge: Record<string, object> = {
    'an answer of 2^53 tokens': { max_tokens: 9_007_199_254_740_991 },
    'streamed, of one less': { max_tokens: 9_007_199_254_740_990, stream: true },
    'in the other field': { max_completion_tokens: 1e300 },
    'more answers than there are numbers': { max_tokens: 1_000_000, n: 1e308 },
  };
  for (const [what, body] of Object.entries(huge)) {
    test(what, async () => {
      const { id, text } = await keyWith({ budget: { limit_tokens: 1_000_000, window: 'day', hard: false } });
      // A server may refuse it: what counts is that an answer is on record.
      const answered = (await statusOf(text, { body })) === 200 ? 1 : 0;
      expect(await statusOf(text)).toBe(200);
      const usage = await admin(on, 'GET', `usage?group_by=key`);
      const row = usage.body.rows.find(({ key }: { key: string }) => key === id);
      expect(row?.requests).toBe(answered + 1);
      const [budget] = (await admin(on, 'GET', `keys/${id}`)).body.budgets;
      expect(budget.reserved_tokens).toBe(0);
    });
  }

  test('and many of them at once leave a budget that others share as it was', async () => {
    const organisation = { scope: 'organisation', limit_tokens: 100_000_000, window: 'month', hard: false };
    const made = await admin(on, 'POST', 'budgets', organisation);
    const [mallory, alice] = [await keyWith({}), await keyWith({ budget: { limit_tokens: 1e6, window: 'day' } })];
    const body = { max_tokens: 9_007_199_254_740_000 };
    const asked = Array.from({ length: 8 }, () => statusOf(mallory.text, { body }));
    expect(await statusOf(alice.text)).toBe(200);
    await Promise.all(asked);
    expect(await statusOf(alice.text)).toBe(200);
    const [shared] = (await admin(on, 'GET', `budgets?limit=100`)).body.budgets.filter(
      ({ id }: { id: string }) => id === made.body.id,
    );
    expect(shared.reserved_tokens).toBe(0);
    expect(shared.spent_tokens).toBeLessThan(10_000);
    expect((await admin(on, 'GET', 'ledger/verify')).body.ok).toBe(true);
    await admin(on, 'DELETE', `budgets/${made.body.id}`);
  });
});

describe('S-19: what opens nothing is served nothing', () => {
  test('other paths, methods and carriers', async () => {
    const { text } = await keyWith({ limits: { rpm: 1 } });
    expect(await statusOf(text)).toBe(200);
    const before = [inference(local).length, inference(cloud).length];
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] });
    const headers = { ...bearer(text), 'content-type': 'application/json' };
    for (const path of [
      ...['/v1/chat/completions/', '//v1/chat/completions', '/V1/chat/completions', '/v1/./chat/completions'],
      ...['/v1/chat%2Fcompletions', '/v1/chat/completions;x=1', '/v1/models/../chat/completions', '/chat/completions'],
    ]) {
      const reply = await fetch(`${on.url}${path}`, { method: 'POST', headers, body });
      expect([path, [404, 429].includes(reply.status)]).toEqual([path, true]);
    }
    for (const method of ['PUT', 'PATCH', 'DELETE', 'GET']) {
      const reply = await fetch(`${on.url}/v1/chat/completions`, {
        method,
        headers,
        ...(method === 'GET' ? {} : { body }),
      });
      expect([method, reply.status]).toEqual([method, 405]);
    }
    const twice = await fetch(`${on.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { ...headers, 'x-api-key': text },
      body,
    });
    expect(twice.status).toBe(400);
    const inQuery = await fetch(`${on.url}/v1/chat/completions?api_key=${text}&key=${text}`, { method: 'POST', body });
    expect(inQuery.status).toBe(401);
    expect([inference(local).length, inference(cloud).length]).toEqual(before);
  });
});
