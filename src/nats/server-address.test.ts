import { expect, it } from 'vitest';
import { TrustplaneError } from '../spiffe/index.ts';
import { formatNatsAddress, isLoopback, parseNatsAddress } from './server-address.ts';

it.each([
  ['nats://localhost', { host: 'localhost', port: 4222, isTls: false }],
  ['tls://nats-1.example.org:4223', { host: 'nats-1.example.org', port: 4223, isTls: true }],
  ['tls://10.0.0.1:1', { host: '10.0.0.1', port: 1, isTls: true }],
  ['nats://[2001:db8::1]:65535', { host: '2001:db8::1', port: 65_535, isTls: false }],
])('reads %s', (text, address) => {
  expect(parseNatsAddress(text)).toEqual(address);
});

it.each([
  'localhost:4222',
  'http://localhost',
  'nats://',
  'nats://a:0',
  'nats://a:65536',
  'nats://a:4222/',
  'nats://a b',
  'nats://1.2.3.4.5',
  'nats://-a',
  'nats://a..b',
  'nats://[1.2.3.4]',
  'nats://[::1',
  'NATS://a',
  `nats://${'a'.repeat(400)}`,
])('refuses %s', (text) => {
  expect(() => parseNatsAddress(text)).toThrow(TrustplaneError);
});

it('does not repeat a password', () => {
  expect(() => parseNatsAddress('nats://user:hunter2@a')).toThrow(
    /^a nats-server is nats:\/\/host\[:port\] or tls:\/\/host\[:port\]; got one with a user or password$/u,
  );
});

it('writes addresses as it reads them', () => {
  for (const text of ['a.test:1', '[::1]:4222', '127.0.0.1:4222'])
    expect(formatNatsAddress(parseNatsAddress(`nats://${text}`))).toBe(text);
});

it('knows this host', () => {
  const isHere = (text: string): boolean => isLoopback(parseNatsAddress(text));
  expect(['nats://localhost', 'nats://127.1.2.3', 'nats://[::1]'].map(isHere)).toEqual([
    true,
    true,
    true,
  ]);
  expect(isHere('nats://127.example.org')).toBe(false);
});
