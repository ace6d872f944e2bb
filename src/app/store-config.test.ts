import { expect, it } from 'vitest';
import { buildSharedStore } from './store-config.ts';

const servers = ['tls://a.test:4222'];

it('is in the data directory where nothing says', () => {
  expect(buildSharedStore(undefined)).toBeUndefined();
  expect(buildSharedStore({ type: 'sqlite' })).toBeUndefined();
  expect(buildSharedStore({ type: 'sqlite', replicas: 3, isTest: false })).toBeUndefined();
});

it('has three replicas and is no test where nothing says', () => {
  const nkeySeedFile = '/etc/store.nk';
  expect(buildSharedStore({ type: 'jetstream', servers, nkeySeedFile })).toMatchObject({
    nats: { servers, login: { nkeySeedFile }, allowPlaintext: false },
    replicas: 3,
    monitoringUrls: [],
    isTest: false,
  });
});

it.each([
  [{ type: 'jetstream' }, /has servers/u],
  [{ servers }, /servers says nothing of a store of the type sqlite/u],
  [{ replicas: 1 }, /replicas says nothing/u],
  [{ isTest: true }, /isTest says nothing/u],
  [
    { type: 'jetstream', servers, nkeySeedFile: '/a', credentialsFile: '/b' },
    /server\.store: nkey/u,
  ],
  [{ type: 'jetstream', servers, certificateFile: '/a' }, /server\.store: certificateFile/u],
] as const)('refuses %j', (file, message) => {
  expect(() => buildSharedStore(file)).toThrow(message);
});
