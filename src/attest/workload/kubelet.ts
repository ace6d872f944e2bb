import { type ClientRequest, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import { readFileBounded } from '../../ops/index.ts';
import { TrustplaneError } from '../../spiffe/index.ts';
import { readAnswer } from './http-answer.ts';
import { type PodList, parsePodList } from './pod-list.ts';

/** Some thousand pods, of which a node has 110 unless somebody asks for more. */
const MAX_ANSWER_BYTES = 16 << 20;
const MAX_FILE_BYTES = 1 << 20;
const TOKEN = /^[\x21-\x7e]{1,65536}$/u;

/** Who asks a kubelet: a file with a bearer token, or files with a client certificate. Read each time. */
export type KubeletCredentials =
  | { readonly tokenFile: string }
  | { readonly certificateFile: string; readonly privateKeyFile: string };

/** How a kubelet is reached. */
export interface KubeletOptions {
  readonly host: string;
  readonly port: number;
  /** Undefined: HTTP, where whoever listens on the port is believed. */
  readonly tls:
    | {
        /** The name, or IP address, that its certificate has to have. */
        readonly serverName: string;
        /** PEM; undefined: any certificate is believed. */
        readonly caFile: string | undefined;
        readonly credentials: KubeletCredentials;
      }
    | undefined;
}

/** @throws TrustplaneError ERR_ATTEST_UNREACHABLE, ERR_ATTEST_ANSWER, ERR_FILE_* */
export async function fetchPods(options: KubeletOptions, signal: AbortSignal): Promise<PodList> {
  const subject = kubeletName(options);
  const { status, body } = await readAnswer(await ask(options, signal), subject, MAX_ANSWER_BYTES);
  if (status === 200) return parsePodList(body);
  throw new TrustplaneError(
    'ERR_ATTEST_UNREACHABLE',
    `${subject} answers with status ${status}${adviceFor(status)}`,
  );
}

export function kubeletName({ host, port }: KubeletOptions): string {
  return `the kubelet at ${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

function adviceFor(status: number): string {
  if (status === 401) return ': it does not know the token or certificate of the agent';
  if (status === 403) return ': the agent may not get nodes/proxy (or nodes/pods)';
  return '';
}

async function ask(
  { host, port, tls }: KubeletOptions,
  signal: AbortSignal,
): Promise<ClientRequest> {
  const common = { host, port, path: '/pods', agent: false, signal };
  const headers = { accept: 'application/json' };
  if (tls === undefined) return requestHttp({ ...common, headers });
  const { caFile, serverName, credentials } = tls;
  return requestHttps({
    ...common,
    // An IP address is no name for SNI; the certificate is judged by the host then.
    ...(isIP(serverName) === 0 && { servername: serverName }),
    rejectUnauthorized: caFile !== undefined,
    ...(caFile !== undefined && { ca: await readAuthorities(caFile) }),
    ...('tokenFile' in credentials
      ? {
          headers: {
            ...headers,
            authorization: `Bearer ${await readToken(credentials.tokenFile)}`,
          },
        }
      : {
          headers,
          cert: await readText(credentials.certificateFile),
          key: await readText(credentials.privateKeyFile),
        }),
  });
}

async function readToken(file: string): Promise<string> {
  const token = (await readText(file)).trim();
  if (TOKEN.test(token)) return token;
  throw new TrustplaneError(
    'ERR_ATTEST_UNREACHABLE',
    `${file} has no bearer token for the kubelet`,
  );
}

/** Of none at all Node would take the well-known ones. */
async function readAuthorities(file: string): Promise<string> {
  const text = await readText(file);
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw new TrustplaneError('ERR_ATTEST_UNREACHABLE', `${file} has no certificate for the kubelet`);
}

async function readText(file: string): Promise<string> {
  const bytes = await readFileBounded(file, MAX_FILE_BYTES);
  if (bytes !== undefined) return Buffer.from(bytes).toString('utf8');
  throw new TrustplaneError('ERR_ATTEST_UNREACHABLE', `${file}, for the kubelet, is not there`);
}
