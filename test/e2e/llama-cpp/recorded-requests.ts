export const weatherTool = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Current weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

const citySchema = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 20 }, inhabitants: { type: 'integer' } },
  required: ['city', 'inhabitants'],
  additionalProperties: false,
};

function user(content: string) {
  return [{ role: 'user', content }];
}

/** An answered question: a model this small calls a function only when it has seen it done. */
export function weatherAsked(id: string, city: string, answer: string) {
  const call = { id, type: 'function', function: { name: 'get_weather', arguments: JSON.stringify({ city }) } };
  return [
    ...user(`Weather in ${city}?`),
    { role: 'assistant', content: '', tool_calls: [call] },
    { role: 'tool', tool_call_id: id, content: answer },
    { role: 'assistant', content: `${answer} in ${city}.` },
  ];
}

/** What is asked of the server for each fixture, besides what makes every answer repeatable. */
export const RECORDED_REQUESTS: Readonly<Record<string, object>> = {
  plain: { messages: user('What is the capital of France? Answer in one short sentence.'), max_tokens: 48 },
  'cut-by-max-tokens': { messages: user('Tell me a long story about a beaver.'), max_tokens: 12 },
  'ended-by-stop': { messages: user('Count from 1 to 9, separated by commas.'), max_tokens: 64, stop: ['5', ';'] },
  'not-ascii': {
    messages: [
      { role: 'system', content: 'Repeat what the user says, nothing else.' },
      ...user('Grüße aus Łódź: 日本語 🙂'),
    ],
    max_tokens: 48,
  },
  'tool-call': {
    messages: [
      ...weatherAsked('call_1', 'Paris', '12 C'),
      ...weatherAsked('call_2', 'Rome', '20 C'),
      ...user('Weather in Oslo?'),
    ],
    tools: [weatherTool],
    tool_choice: 'required',
    max_tokens: 96,
  },
  'json-schema': {
    messages: user('Name one city of Norway and how many people live there, as JSON.'),
    response_format: { type: 'json_schema', json_schema: { name: 'city', strict: true, schema: citySchema } },
    max_tokens: 96,
  },
  'reasoning-off': {
    messages: user('What is 2 + 2?'),
    chat_template_kwargs: { enable_thinking: false },
    reasoning_format: 'none',
    max_tokens: 32,
  },
  logprobs: { messages: user('Say yes or no: is water wet?'), logprobs: true, top_logprobs: 2, max_tokens: 6 },
  'two-choices': { messages: user('Say hello.'), n: 2, max_tokens: 8 },
};
