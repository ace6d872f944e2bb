import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findPySpiffe } from './py-spiffe.ts';
import { runProgram, tryProgram } from './run-program.ts';

/** A chain to verify with OpenSSL itself; certificates are DER. */
export interface OpensslQuestion {
  /** Trusted authorities. */
  readonly authorities: readonly Uint8Array[];
  /** Leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly purpose: 'client' | 'server';
  /** Milliseconds since the epoch; default now. */
  readonly at?: number;
}

/** OpenSSL's verdict, in its own words. */
export interface OpensslAnswer {
  readonly ok: boolean;
  readonly detail: string;
}

/** Asks the machine's `openssl`, else pyOpenSSL, whether a chain is good. */
export async function verifyWithOpenssl(question: OpensslQuestion): Promise<OpensslAnswer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tp-openssl-'));
  try {
    const [leaf, ...intermediates] = question.chain;
    const files = {
      ca: await writePem(folder, 'ca.pem', question.authorities),
      leaf: await writePem(folder, 'leaf.pem', leaf === undefined ? [] : [leaf]),
      between: await writePem(folder, 'between.pem', intermediates),
    };
    const hasBinary = (await tryProgram('openssl', ['version'])) !== undefined;
    return await (hasBinary ? askBinary : askPython)(question, files);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Files {
  readonly ca: string;
  readonly leaf: string;
  readonly between: string;
}

async function askBinary(question: OpensslQuestion, files: Files): Promise<OpensslAnswer> {
  const at = String(Math.floor((question.at ?? Date.now()) / 1000));
  const trusted = question.authorities.length > 0 ? ['-CAfile', files.ca] : ['-no-CAfile'];
  const untrusted = question.chain.length > 1 ? ['-untrusted', files.between] : [];
  const asked = ['-x509_strict', '-purpose', `ssl${question.purpose}`, '-attime', at];
  const nothingElse = ['-no-CApath', '-no-CAstore'];
  const args = ['verify', ...asked, ...nothingElse, ...trusted, ...untrusted, files.leaf];
  const { code, stdout, stderr } = await runProgram('openssl', args);
  return { ok: code === 0, detail: `${stdout}${stderr}`.trim() };
}

const PYTHON_VERIFY = `
import sys, datetime
from OpenSSL import crypto
def read(file):
    parts = open(file).read().split('-----END CERTIFICATE-----')[:-1]
    return [crypto.load_certificate(crypto.FILETYPE_PEM, (p + '-----END CERTIFICATE-----').encode()) for p in parts]
ca, leaf, between, purpose, at = sys.argv[1:]
store = crypto.X509Store()
for authority in read(ca): store.add_cert(authority)
store.set_flags(crypto.X509StoreFlags.X509_STRICT)
store.set_time(datetime.datetime.fromtimestamp(float(at), datetime.timezone.utc).replace(tzinfo=None))
try:
    crypto.X509StoreContext(store, read(leaf)[0], read(between)).verify_certificate()
    eku = read(leaf)[0].to_cryptography().extensions.get_extension_for_oid(__import__('cryptography').x509.OID_EXTENDED_KEY_USAGE).value
    wanted = '1.3.6.1.5.5.7.3.2' if purpose == 'client' else '1.3.6.1.5.5.7.3.1'
    if wanted not in [usage.dotted_string for usage in eku]: raise ValueError('extended key usage lacks ' + wanted)
    print('OK')
except Exception as error:
    print(error); sys.exit(2)
`;

async function askPython(question: OpensslQuestion, files: Files): Promise<OpensslAnswer> {
  const at = String((question.at ?? Date.now()) / 1000);
  const args = [files.ca, files.leaf, files.between, question.purpose, at];
  const python = await findPySpiffe();
  const { code, stdout, stderr } = await python.run(PYTHON_VERIFY, args);
  return { ok: code === 0, detail: `${stdout}${stderr}`.trim() };
}

async function writePem(
  folder: string,
  name: string,
  certificates: readonly Uint8Array[],
): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, certificates.map(pem).join(''));
  return file;
}

function pem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
