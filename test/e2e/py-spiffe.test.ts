import { expect, it } from 'vitest';
import { launchTrustplane, runTrustplane } from '../programs/launch-trustplane.ts';
import { ProgramMissingError } from '../programs/pip.ts';
import { findPySpiffe } from '../programs/py-spiffe.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { spawnTied } from '../programs/tied-child.ts';

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

/** Fetches a token, verifies it by the bundle alone and by the Workload API, and waits for a second key. */
const TOKENS = `
import json, sys, threading
from spiffe import JwtSource, JwtSvid, SpiffeId, TrustDomain, WorkloadApiClient

def refusal(call):
    try: call()
    except Exception as error: return type(error).__name__ + ' ' + str(error)
    return 'nothing'

own = TrustDomain('example.org')
with WorkloadApiClient(sys.argv[1]) as client, JwtSource(socket_path=sys.argv[1]) as source:
    svid = client.fetch_jwt_svid({'db'})
    both = client.fetch_jwt_svids({'db', 'cache'})
    bundle = client.fetch_jwt_bundles().get_bundle_for_trust_domain(own)
    checked = JwtSvid.parse_and_validate(svid.token, bundle, {'db'})
    print(json.dumps({
        'id': str(svid.spiffe_id),
        'audience': sorted(both[0].audience),
        'checked': str(checked.spiffe_id),
        'validated': str(client.validate_jwt_svid(svid.token, 'db').spiffe_id),
        'same': client.fetch_jwt_svid({'db'}, SpiffeId('spiffe://example.org/web')).token == svid.token,
        'otherAudience': refusal(lambda: client.validate_jwt_svid(svid.token, 'cache')),
        'changed': refusal(lambda: client.validate_jwt_svid(svid.token + 'A', 'db')),
        'notMine': refusal(lambda: client.fetch_jwt_svid({'db'}, SpiffeId('spiffe://example.org/other'))),
        'keys': len(source.get_bundle_for_trust_domain(own).jwt_authorities),
    }), flush=True)
    more = threading.Event()
    def look():
        if len(source.get_bundle_for_trust_domain(own).jwt_authorities) == 2: more.set()
    source.subscribe_for_updates(look)
    look()
    assert more.wait(25)
    print(json.dumps({'keys': 2}), flush=True)
`;

/** A Python program whose lines are JSON; what is none is thrown. */
function startPython(program: string, ...args: readonly string[]) {
  const child = spawnTied('python3', ['-c', program, ...args], { env: python?.env ?? {} });
  const arrived: string[] = [];
  let wake = (): void => {};
  child.onLine((line) => {
    arrived.push(line);
    wake();
  });
  return {
    ended: child.ended,
    stop: async () => await child.stop(),
    async nextLine(): Promise<unknown> {
      const line = new Promise<void>((resolve) => (wake = resolve));
      if (arrived.length === 0) await Promise.race([line, child.ended]);
      const text = arrived.shift() ?? '';
      if (text.startsWith('{')) return JSON.parse(text);
      throw new Error([text, ...arrived].join('\n'));
    },
  };
}

it.skipIf(python === undefined)(
  'py-spiffe fetches a JWT-SVID, verifies it, has it validated and sees a key come (WLAPI-12, WLAPI-13, WLAPI-14)',
  async () => {
    await using closing = new AsyncDisposableStack();
    const folder = createRunFolder();
    closing.defer(async () => await folder.remove());
    const trustplane = await launchTrustplane(folder.path);
    closing.defer(async () => void (await trustplane.stop()));
    const id = 'spiffe://example.org/web';
    await trustplane.createEntry(id);
    const program = startPython(TOKENS, `unix://${trustplane.socket}`);
    closing.defer(async () => void (await program.stop()));
    expect(await program.nextLine()).toEqual({
      id,
      audience: ['cache', 'db'],
      checked: id,
      validated: id,
      same: true,
      otherAudience: expect.stringContaining('INVALID_ARGUMENT'),
      changed: expect.stringContaining('INVALID_ARGUMENT'),
      notMine: expect.stringContaining('PERMISSION_DENIED'),
      keys: 1,
    });
    const admin = ['--admin-socket', trustplane.adminSocket];
    const prepared = await runTrustplane('authority', 'jwt', 'prepare', ...admin);
    expect(prepared).toMatchObject({ code: 0, stderr: '' });
    expect(await program.nextLine()).toEqual({ keys: 2 });
    expect(await program.ended).toBe(0);
  },
);
