import { expect, it } from 'vitest';
import { launchTrustplane } from '../programs/launch-trustplane.ts';
import { ProgramMissingError } from '../programs/pip.ts';
import { findPySpiffe } from '../programs/py-spiffe.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const python = await findPySpiffe().catch((error: unknown) => {
  if (error instanceof ProgramMissingError) return undefined;
  throw error;
});

/** Fetches, verifies each SVID against the bundle that came with it, and prints one line for each. */
const WATCH = `
import json, sys, threading
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto
from spiffe import WorkloadApiClient

enough = threading.Event()
serials = []
problem = []

def load(certificate):
    return crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.public_bytes(Encoding.DER))

def verify(context):
    svid = context.default_svid
    bundle = context.x509_bundle_set.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
    store = crypto.X509Store()
    for authority in bundle.x509_authorities: store.add_cert(load(authority))
    chain = [load(certificate) for certificate in svid.cert_chain]
    crypto.X509StoreContext(store, chain[0], chain[1:]).verify_certificate()
    assert svid.leaf.public_key().public_numbers() == svid.private_key.public_key().public_numbers()
    serial = format(svid.leaf.serial_number, 'x')
    if serial in serials: return
    serials.append(serial)
    print(json.dumps({'id': str(svid.spiffe_id), 'serial': serial}), flush=True)
    if len(serials) == 3: enough.set()

def on_success(context):
    try: verify(context)
    except Exception as error: on_error(error)

def on_error(error):
    problem.append(repr(error)); enough.set()

with WorkloadApiClient(sys.argv[1]) as client:
    fetched = client.fetch_x509_svid()
    print(json.dumps({'fetched': str(fetched.spiffe_id)}), flush=True)
    subscription = client.stream_x509_contexts(on_success, on_error)
    enough.wait(25)
    subscription.cancel()
if problem: sys.exit(problem[0])
`;

it.skipIf(python === undefined)(
  'py-spiffe fetches an SVID, verifies it with OpenSSL and sees it rotate',
  async () => {
    await using closing = new AsyncDisposableStack();
    const folder = createRunFolder();
    closing.defer(async () => await folder.remove());
    const trustplane = await launchTrustplane(folder.path, '--x509-svid-ttl', '4s');
    closing.defer(async () => void (await trustplane.stop()));
    await trustplane.createEntry('spiffe://example.org/web');
    const finished = await python?.run(WATCH, [`unix://${trustplane.socket}`]);
    expect(finished).toMatchObject({ code: 0, stderr: '' });
    const lines = (finished?.stdout ?? '')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0]).toEqual({ fetched: 'spiffe://example.org/web' });
    expect(lines.slice(1)).toHaveLength(3);
    for (const line of lines.slice(1))
      expect(line).toMatchObject({ id: 'spiffe://example.org/web' });
  },
);
