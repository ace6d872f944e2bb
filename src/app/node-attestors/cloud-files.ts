import { type AskHttp, createAskHttp } from '../../attest/index.ts';
import { readFileBounded } from '../../ops/index.ts';
import { TrustplaneError } from '../../spiffe/index.ts';

const MAX_CA_BYTES = 1_048_576;
const MAX_SECRET_BYTES = 16_384;
const METADATA_TIMEOUT_MS = 3_000;

/** How APIs of a cloud are asked, over TLS. @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES */
export async function openAskHttp(caFile: string | undefined): Promise<AskHttp> {
  if (caFile === undefined) return createAskHttp();
  const bytes = await loadNamed(caFile, MAX_CA_BYTES);
  return createAskHttp({ certificateAuthorities: bytes.toString('latin1') });
}

/** How the metadata service of the machine is asked; it is near, or there is none. */
export function openMetadataAsk(): AskHttp {
  return createAskHttp({ timeoutMs: METADATA_TIMEOUT_MS });
}

/** A file with a secret, or a key. @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES */
export async function loadSecretFile(path: string): Promise<string> {
  return (await loadNamed(path, MAX_SECRET_BYTES)).toString('utf8').trim();
}

async function loadNamed(path: string, maxBytes: number): Promise<Buffer> {
  const bytes = Buffer.from((await readFileBounded(path, maxBytes)) ?? []);
  if (bytes.length > 0) return bytes;
  const message = `the file ${path} does not exist, or is empty`;
  throw new TrustplaneError('ERR_NODE_ATTEST_AUTHORITIES', message);
}
