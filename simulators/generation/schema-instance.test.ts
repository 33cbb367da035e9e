import { expect, test } from 'bun:test';
import { minimalInstance } from './schema-instance.ts';

test('fills what is required and leaves the rest out', () => {
  const schema = {
    type: 'object',
    properties: {
      name: { type: 'string', minLength: 8 },
      age: { type: 'integer', exclusiveMinimum: 17 },
      tags: { type: 'array', items: { enum: ['red', 'blue'] }, minItems: 2 },
      note: { type: 'string' },
      home: { $ref: '#/$defs/address' },
      mood: { type: ['null', 'boolean'] },
    },
    required: ['name', 'age', 'tags', 'home', 'mood'],
    $defs: { address: { type: 'object', properties: { street: { const: 'Elm' } }, required: ['street'] } },
  };
  expect(minimalInstance(schema)).toEqual({
    name: 'samplexx',
    age: 18,
    tags: ['red', 'red'],
    home: { street: 'Elm' },
    mood: true,
  });
});

test('takes the first of several forms, and ends a schema that contains itself', () => {
  expect(minimalInstance({ anyOf: [{ type: 'number', minimum: 2.5 }, { type: 'string' }] })).toBe(2.5);
  const endless = { type: 'object', properties: { next: { $ref: '#' } }, required: ['next'] };
  expect(JSON.stringify(minimalInstance(endless))).toMatch(/null\}{9}$/);
});
