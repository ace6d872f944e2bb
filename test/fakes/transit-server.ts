import {
  constants,
  createECDH,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  privateEncrypt,
  randomBytes,
  webcrypto,
} from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { encodePem, writeSequence, writeUnsignedInteger } from '../../src/spiffe/index.ts';
import { makeCertificate } from './test-certificates.ts';

interface StoredKey {
  readonly type: string;
  /** By version, from 1. */
  readonly versions: KeyObject[];
  deletionAllowed: boolean;
  exportable: boolean;
}

interface Reply {
  readonly status: number;
  readonly body?: object;
}

const curves: Readonly<Record<string, string>> = { 'ecdsa-p256': 'P-256', 'ecdsa-p384': 'P-384' };
const hashes: Readonly<Record<string, string>> = { 'sha2-256': 'sha256', 'sha2-384': 'sha384' };
const NAME = /^\w(?:[\w.-]*\w)?$/u;

/** What a test may do to a `startTransit`. */
export interface TransitServer extends AsyncDisposable {
  /** `https://localhost:port` */
  readonly address: string;
  /** PEM. */
  readonly certificate: string;
  /** Tokens that are taken. */
  readonly tokens: Set<string>;
  readonly keys: Map<string, StoredKey>;
  readonly approle: { readonly roleId: string; readonly secretId: string };
  readonly jwt: { readonly role: string; readonly token: string };
  /** How many of the next calls fail with this status. */
  fail(status: number, count: number): void;
  /** Method and path of every call. */
  readonly calls: string[];
}

/**
 * The transit engine of a Vault, mounted at `transit`, over HTTPS with real keys: its paths, statuses
 * and error texts, with the auth methods token, approle and kubernetes.
 */
export async function startTransit(): Promise<TransitServer> {
  const life = { notBefore: Date.now() - 60_000, notAfter: Date.now() + 3_600_000 };
  const root = await makeCertificate({ isCa: true, uris: [], extendedKeyUsage: null, ...life });
  const names = { subject: 'CN=localhost', uris: [], dns: ['localhost'] };
  const certificate = await makeCertificate({ issuer: root, ...names, ...life });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', certificate.keys.privateKey);
  const pem = encodePem('CERTIFICATE', certificate.der);
  const state = {
    tokens: new Set<string>(['root']),
    keys: new Map<string, StoredKey>(),
    approle: { roleId: 'role-1', secretId: randomBytes(16).toString('hex') },
    jwt: { role: 'trustplane', token: `e30.e30.${randomBytes(16).toString('hex')}` },
    calls: [] as string[],
  };
  let failing = { status: 0, count: 0 };
  const server = createServer({ cert: pem, key: encodePem('PRIVATE KEY', new Uint8Array(pkcs8)) });
  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request);
    const path = (request.url ?? '').replace('/v1/', '');
    state.calls.push(`${request.method} ${path}`);
    const isFailing = failing.count > 0;
    if (isFailing) failing = { ...failing, count: failing.count - 1 };
    const text = failing.status === 503 ? 'Vault is sealed' : 'internal error';
    const reply = isFailing ? errors(failing.status, text) : answer(state, request, path, body);
    response.statusCode = reply.status;
    response.setHeader('Content-Type', 'application/json');
    response.end(reply.body === undefined ? undefined : JSON.stringify(reply.body));
  };
  server.on('request', (request, response) => void respond(request, response));
  server.listen(0, 'localhost');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return {
    ...state,
    address: `https://localhost:${address.port}`,
    certificate: encodePem('CERTIFICATE', root.der),
    fail(status, count) {
      failing = { status, count };
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

type State = Pick<TransitServer, 'tokens' | 'keys' | 'approle' | 'jwt'>;
type Body = Readonly<Record<string, unknown>>;

function answer(state: State, request: IncomingMessage, path: string, body: Body): Reply {
  if (path.startsWith('auth/')) return login(state, path, body);
  const token = request.headers['x-vault-token'];
  if (typeof token !== 'string' || token === '') return errors(403, 'permission denied');
  if (!state.tokens.has(token)) return errors(403, 'permission denied', 'invalid token');
  const [mount, verb, name, more] = path.split('/');
  if (mount !== 'transit') return errors(404, `no handler for route "${path}"`);
  if (request.method === 'GET' && path === 'transit/keys?list=true') return list(state);
  if (name === undefined || !NAME.test(name)) return errors(404, 'unsupported path');
  if (verb === 'keys' && more === undefined) return keys(state, request.method ?? '', name, body);
  if (verb === 'keys' && more === 'config') return configure(state, name, body);
  if (verb === 'sign') return signWith(state, name, body);
  return errors(404, 'unsupported path');
}

function login({ approle, jwt, tokens }: State, path: string, body: Body): Reply {
  const isGood =
    (path === 'auth/approle/login' &&
      body['role_id'] === approle.roleId &&
      body['secret_id'] === approle.secretId) ||
    (path === 'auth/kubernetes/login' && body['role'] === jwt.role && body['jwt'] === jwt.token);
  if (!isGood) return errors(400, 'invalid role or secret ID');
  const token = `hvs.${randomBytes(12).toString('hex')}`;
  tokens.add(token);
  return data(200, {}, { client_token: token, lease_duration: 3600, renewable: true });
}

function list({ keys }: State): Reply {
  return keys.size === 0 ? errors(404) : data(200, { keys: [...keys.keys()].sort() });
}

function keys(state: State, method: string, name: string, body: Body): Reply {
  const found = state.keys.get(name);
  if (method === 'POST') {
    // A key of the name stays what it is, and that is no error.
    if (found === undefined) state.keys.set(name, makeKey(body));
    return { status: 204 };
  }
  if (method === 'GET') return found === undefined ? errors(404) : show(name, found);
  if (found === undefined) return errors(400, 'could not delete key; not found');
  if (!found.deletionAllowed) {
    return errors(400, `error deleting policy ${name}: deletion is not allowed for this policy`);
  }
  state.keys.delete(name);
  return { status: 204 };
}

function makeKey(body: Body): StoredKey {
  const type = typeof body['type'] === 'string' ? body['type'] : 'aes256-gcm96';
  const pair = makePair(type);
  return {
    type,
    versions: [pair],
    deletionAllowed: false,
    exportable: body['exportable'] === true,
  };
}

/** For rotation by hand too. */
export function makePair(type: string): KeyObject {
  const namedCurve = curves[type];
  if (namedCurve !== undefined) return generateKeyPairSync('ec', { namedCurve }).privateKey;
  const modulusLength = Number(type.replace('rsa-', ''));
  return generateKeyPairSync('rsa', { modulusLength }).privateKey;
}

function show(name: string, key: StoredKey): Reply {
  const versions = key.versions.map((version, index) => [
    String(index + 1),
    {
      creation_time: new Date().toISOString(),
      name: curves[key.type] ?? key.type,
      public_key: createPublicKey(version).export({ type: 'spki', format: 'pem' }).toString(),
    },
  ]);
  return data(200, {
    name,
    type: key.type,
    deletion_allowed: key.deletionAllowed,
    exportable: key.exportable,
    allow_plaintext_backup: false,
    latest_version: key.versions.length,
    min_available_version: 0,
    min_decryption_version: 1,
    min_encryption_version: 0,
    supports_signing: true,
    keys: Object.fromEntries(versions),
  });
}

function configure({ keys }: State, name: string, body: Body): Reply {
  const found = keys.get(name);
  if (found === undefined) return errors(400, 'no existing key named ' + name + ' could be found');
  found.deletionAllowed = body['deletion_allowed'] === true;
  return { status: 204 };
}

function signWith({ keys }: State, name: string, body: Body): Reply {
  const found = keys.get(name);
  if (found === undefined) return errors(400, 'signing key not found');
  const version = Number(body['key_version'] ?? found.versions.length);
  const key = found.versions[version - 1];
  const hash = hashes[String(body['hash_algorithm'])];
  const digest = Buffer.from(String(body['input']), 'base64');
  if (key === undefined || hash === undefined || body['prehashed'] !== true) {
    return errors(400, 'invalid request');
  }
  const isEc = curves[found.type] !== undefined;
  if (isEc ? body['marshaling_algorithm'] !== 'asn1' : body['signature_algorithm'] !== 'pkcs1v15') {
    return errors(400, 'unsupported algorithm');
  }
  const signature = isEc ? signDigest(key, digest) : signPkcs1(key, hash, digest);
  return data(200, {
    signature: `vault:v${version}:${signature.toString('base64')}`,
    key_version: version,
  });
}

const ecGroups = {
  'P-256': {
    name: 'prime256v1',
    order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  'P-384': {
    name: 'secp384r1',
    order:
      0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
} as const;

/** ECDSA (FIPS 186-5 §6.4.1) over a digest as it is, which node:crypto cannot do; DER. */
function signDigest(key: KeyObject, digest: Buffer): Buffer {
  const { crv, d = '' } = key.export({ format: 'jwk' });
  const { name, order } = crv === 'P-384' ? ecGroups['P-384'] : ecGroups['P-256'];
  const nonce = createECDH(name);
  const point = nonce.generateKeys();
  const k = toInteger(nonce.getPrivateKey());
  const r = toInteger(point.subarray(1, 1 + (point.length - 1) / 2)) % order;
  const secret = toInteger(Buffer.from(d, 'base64url'));
  const s = (inverse(k, order) * (toInteger(digest) + r * secret)) % order;
  const parts = [r, s].map((part) => writeUnsignedInteger(toBytes(part)));
  return Buffer.from(writeSequence(...parts));
}

function toInteger(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

function toBytes(value: bigint): Buffer {
  const hex = value.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
}

/** By Fermat: the order is prime. */
function inverse(value: bigint, prime: bigint): bigint {
  let result = 1n;
  let base = value % prime;
  for (let exponent = prime - 2n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % prime;
    base = (base * base) % prime;
  }
  return result;
}

/** RFC 8017 §9.2, over a digest. */
function signPkcs1(key: KeyObject, hash: string, digest: Buffer): Buffer {
  const head =
    hash === 'sha256'
      ? '3031300d060960864801650304020105000420'
      : '3041300d060960864801650304020205000430';
  const info = Buffer.concat([Buffer.from(head, 'hex'), digest]);
  return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, info);
}

function data(status: number, fields: object, auth: object | null = null): Reply {
  const rest = { lease_id: '', renewable: false, lease_duration: 0, wrap_info: null };
  const body = {
    request_id: randomBytes(8).toString('hex'),
    ...rest,
    data: fields,
    warnings: null,
  };
  return { status, body: { ...body, auth } };
}

function errors(status: number, ...texts: readonly string[]): Reply {
  return { status, body: { errors: texts } };
}

async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString());
}
