import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packTexts, unpackTexts } from '../../src/policies/packed-texts.ts';
import { policyFile, TrustplaneError } from '../../src/spiffe/index.ts';
import {
  buildSyncRequest,
  joinPolicies,
  parseSyncRequest,
  policiesItem,
  policyFileItem,
  type SyncRequest,
} from '../../src/sync/index.ts';
import { buildPoliciesMessage, parsePoliciesMessage } from '../../src/sync/policies-message.ts';
import { parseItem } from '../../src/sync/replica-state.ts';
import { messageType, strictBytes } from '../../src/wire/index.ts';
import { draftOf, openPolicyRegistry } from '../fakes/open-policies.ts';
import { testTrustDomain } from '../fakes/test-entries.ts';
import { attempt } from './attempt.ts';

const REQUEST = messageType('trustplane/sync/v1/sync.proto', 'trustplane.sync.v1.SyncRequest');
const LOADED = { longs: String, enums: String } as const;

const digest = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));
const bytes = fc.uint8Array({ maxLength: 200 });
const files = fc
  .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}$/u), bytes), {
    selector: ([name]) => name,
    maxLength: 5,
  })
  .map((all) =>
    all
      .map(([name, content]) => policyFile(`${name}.yaml`, content))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  );
const versions = fc.record({
  version: fc.integer({ min: 1 }),
  hash: digest,
  digest,
  createdAt: fc.nat(),
  files,
});
const takers = fc.array(
  fc.record({
    name: fc.string({ maxLength: 20 }).map((text) => text.replace(/[\p{Cc}\p{Cs}]/gu, '')),
    hash: fc.option(digest, { nil: undefined }),
    digest: fc.option(digest, { nil: undefined }),
    since: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
    fault: fc.constantFrom(undefined, 'a.yaml:1:1: no', 'ü'),
    refused: fc.option(digest, { nil: undefined }),
  }),
  { maxLength: 5 },
);

describe('policies from a server', () => {
  it('are read as they were sent, by way of their items', () => {
    fc.assert(
      fc.property(versions, (version) => {
        const head = parseItem('p', policiesItem(version).bytes, testTrustDomain);
        const items = version.files.map((file) =>
          parseItem('f', policyFileItem(file).bytes, testTrustDomain),
        );
        const known = new Map(
          items.flatMap(({ value }) =>
            value.kind === 'f' ? [[value.file.sha256, value.file.bytes] as const] : [],
          ),
        );
        if (head.value.kind !== 'p') throw new Error('it is no head');
        expect(joinPolicies(head.value.head, (sha256) => known.get(sha256))).toEqual(version);
        const isEmpty = version.files.length === 0;
        expect(joinPolicies(head.value.head, () => undefined) === undefined).toBe(!isEmpty);
      }),
    );
  });

  it('are refused on purpose, however they are damaged', () => {
    fc.assert(
      fc.property(versions, fc.nat(), fc.nat(255), (version, at, byte) => {
        const damaged = Uint8Array.from(policiesItem(version).bytes);
        damaged[at % damaged.length] = byte;
        attempt(() => parseItem('p', damaged, testTrustDomain));
      }),
      { numRuns: 2_000 },
    );
    expect(attempt(() => parseItem('p', Uint8Array.of(255), testTrustDomain))).toBeUndefined();
  });

  it.each([
    ['with too many files', { files: Array.from({ length: 4_097 }, () => ({ name: 'a.yaml' })) }],
    [
      'with a name that leads elsewhere',
      { files: [{ name: '../a.yaml', sha256: new Uint8Array(32) }] },
    ],
    [
      'with a file twice',
      { files: ['a', 'a'].map((name) => ({ name: `${name}.yaml`, sha256: new Uint8Array(32) })) },
    ],
    [
      'with files out of order',
      { files: ['b', 'a'].map((name) => ({ name: `${name}.yaml`, sha256: new Uint8Array(32) })) },
    ],
    ['without a hash', { hash: new Uint8Array() }],
    ['with a version beyond numbers', { version: '99999999999999999999' }],
  ])('are refused %s', (_, change) => {
    const good = {
      version: 1,
      hash: 'a'.repeat(64),
      digest: 'b'.repeat(64),
      createdAt: 1,
      files: [],
    };
    expect(() => parsePoliciesMessage({ ...buildPoliciesMessage(good), ...change })).toThrow(
      expect.objectContaining({ code: 'ERR_SYNC_POLICIES' }),
    );
  });
});

describe('what an agent says of policies', () => {
  const encode = (request: SyncRequest): Buffer =>
    Buffer.from(REQUEST.encode(REQUEST.fromObject(buildSyncRequest(request))).finish());
  const read = (sent: Uint8Array): SyncRequest =>
    parseSyncRequest(REQUEST.toObject(REQUEST.decode(strictBytes(sent)), LOADED));

  it('is read as it was said', () => {
    fc.assert(
      fc.property(takers, (all) => {
        expect(read(encode({ kind: 'policies', takers: all }))).toEqual({
          kind: 'policies',
          takers: all,
        });
      }),
    );
  });

  it('is refused on purpose, however it is damaged', () => {
    fc.assert(
      fc.property(takers, fc.nat(), fc.nat(255), (all, at, byte) => {
        const sent = encode({ kind: 'policies', takers: all });
        if (sent.length > 0) sent[at % sent.length] = byte;
        let decoded: object;
        try {
          decoded = REQUEST.toObject(REQUEST.decode(strictBytes(sent)), LOADED);
        } catch {
          return;
        }
        attempt(() => parseSyncRequest(decoded));
      }),
      { numRuns: 2_000 },
    );
    expect(attempt(() => parseSyncRequest({}))).toBeUndefined();
  });

  it('is bounded, however many there are and whatever they complain of', () => {
    const fault = Array.from({ length: 1_000 }, () => '\u{1f600} no').join('\n');
    const one = {
      name: 'x'.repeat(9_000),
      hash: undefined,
      digest: undefined,
      since: undefined,
      fault,
      refused: 'a'.repeat(64),
    };
    const sent = encode({ kind: 'policies', takers: Array.from({ length: 500 }, () => one) });
    const said = read(sent);
    expect(sent.length).toBeLessThan(400_000);
    expect(said.kind === 'policies' && said.takers).toHaveLength(64);
  });
});

describe('policies in a store', () => {
  it('are packed and unpacked as they were', async () => {
    await fc.assert(
      fc.asyncProperty(files, async (all) => {
        expect(await unpackTexts(await packTexts(all))).toEqual(
          all.map((file) => ({ ...file, bytes: Buffer.from(file.bytes) })),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('are taken whole or not at all, whatever becomes of a record', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.nat(255), async (which, at, byte) => {
        const { policies, store, clock } = await openPolicyRegistry();
        await policies.apply(draftOf({ 'a.yaml': 'one' }, 0));
        const { version } = await policies.apply(draftOf({ 'a.yaml': 'two', 'b.yaml': 'b' }, 1));
        await policies.close();
        const bucket = store.bucket('policies');
        const { records } = await bucket.list('');
        const { key, value } = records[which % records.length] ?? {
          key: '',
          value: new Uint8Array(),
        };
        const damaged = Uint8Array.from(value);
        damaged[at % damaged.length] = byte;
        await bucket.put(key, damaged);
        const again = await openPolicyRegistry({ store, clock });
        const known = again.policies.current();
        expect(known?.hash ?? again.policies.fault).toMatch(known ? version.hash : /./u);
        const isSame = Buffer.from(damaged).equals(value);
        const { faults } = await again.policies.verify().catch((error: unknown) => ({
          faults: [
            error instanceof TrustplaneError ? error.code : `${String(error)} is no refusal`,
          ],
        }));
        expect(isSame && faults.length > 0).toBe(false);
        expect(faults.join()).not.toContain('no refusal');
        await again.policies.close();
      }),
      { numRuns: 150 },
    );
  });
});
