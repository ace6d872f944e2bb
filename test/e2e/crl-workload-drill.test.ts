import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseCertificate, parseCrl, splitDerSequence } from '../../src/spiffe/index.ts';
import { dialUnix } from '../../src/wire/index.ts';
import { type FetchedX509, fetchStream } from '../fakes/workload-endpoint.ts';
import { X509Crl } from '../oracles/x509.ts';
import { eventually } from '../programs/eventually.ts';
import {
  launchTrustplane,
  type RunningTrustplane,
  runTrustplane,
} from '../programs/launch-trustplane.ts';
import { findPySpiffe } from '../programs/py-spiffe.ts';

let folder: string;
let trustplane: RunningTrustplane;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tp-crlw-'));
  trustplane = await launchTrustplane(folder);
});
afterAll(async () => {
  await trustplane.stop();
  await rm(folder, { recursive: true, force: true });
});

const run = async (...args: readonly string[]) => {
  const finished = await runTrustplane(...args, '--admin-socket', trustplane.adminSocket);
  expect(finished).toMatchObject({ code: 0 });
  return finished.stdout;
};

/** The first message of a method of the Workload API. */
async function fetchFirst(method: string): Promise<FetchedX509> {
  const dial = dialUnix(trustplane.socket);
  const client = new Client(dial.target, dial.credentials, dial.options);
  try {
    const message = await fetchStream(client, method).next();
    if ('code' in message) throw new Error(message.details);
    return message;
  } finally {
    client.close();
  }
}

const serialsIn = (der: Uint8Array): string[] =>
  new X509Crl(Uint8Array.from(der)).entries.map(({ serialNumber }) => serialNumber);

const python = await findPySpiffe();

/** The SVID of the caller as py-spiffe has it. */
const FETCH = `
import sys
from spiffe import WorkloadApiClient
with WorkloadApiClient(sys.argv[1]) as client:
    context = client.fetch_x509_context()
    bundles = client.fetch_x509_bundles()
    own = bundles.get_bundle_for_trust_domain(context.default_svid.spiffe_id.trust_domain)
    print(context.default_svid.spiffe_id, len(own.x509_authorities))
`;

describe('the Workload API', () => {
  it('has the CRL of the own authorities where an SVID is revoked by its ID, and clients take it (WLAPI-7, WLAPI-11, RA-13)', async () => {
    await trustplane.createEntry('spiffe://example.org/web');
    const before = await fetchFirst('FetchX509SVID');
    expect(before.crl ?? []).toEqual([]);
    const [leaf = new Uint8Array()] = splitDerSequence(before.svids?.[0]?.x509_svid ?? Buffer.of());
    const { serialNumber } = parseCertificate(leaf);
    await run('revoke', '--spiffe-id', 'spiffe://example.org/web', '--reissue');
    const crl = await eventually('the CRL names the SVID', async () => {
      const [first] = (await fetchFirst('FetchX509SVID')).crl ?? [];
      return first !== undefined && serialsIn(first).includes(serialNumber) ? first : undefined;
    });
    expect(parseCrl(crl).count).toBeGreaterThan(0);
    const bundles = await fetchFirst('FetchX509Bundles');
    expect(bundles.crl?.map((der) => Buffer.from(der).equals(crl))).toEqual([true]);
    const after = await fetchFirst('FetchX509SVID');
    const [next = new Uint8Array()] = splitDerSequence(after.svids?.[0]?.x509_svid ?? Buffer.of());
    expect(serialsIn(crl)).not.toContain(parseCertificate(next).serialNumber);
    const fetched = await python.run(FETCH, [`unix://${trustplane.socket}`]);
    expect(fetched).toMatchObject({ code: 0, stdout: 'spiffe://example.org/web 1\n' });
    const out = path.join(folder, 'authority.crl');
    await run('revocation', 'crl', '--format', 'der', '--out', out);
    expect(Buffer.from(await readFile(out)).equals(crl)).toBe(true);
    expect(await run('revocation', 'crl')).toMatch(/^-----BEGIN X509 CRL-----\n/u);
    const listed = JSON.parse(await run('revocation', 'crl', '--output', 'json'));
    expect(listed).toMatchObject({ crls: [{ withheld: false, revoked: parseCrl(crl).count }] });
    const unknown = await runTrustplane(
      'revocation',
      'crl',
      '--authority',
      'ff',
      '--admin-socket',
      trustplane.adminSocket,
    );
    expect(unknown.code).not.toBe(0);
    expect(unknown.stderr).toMatch(/ERR_CRL_UNKNOWN/u);
  });
});
