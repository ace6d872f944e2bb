import { createHash, createHmac } from 'node:crypto';

/** Of a user or a role. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of a role. */
  readonly sessionToken?: string | undefined;
}

export interface AwsCall {
  /** Without a path or a query. */
  readonly endpoint: string;
  /** As in `ec2`. */
  readonly service: string;
  readonly region: string;
  /** Of the form, in this order; a call is a POST. */
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const CONTENT_TYPE = 'application/x-www-form-urlencoded';

/** The headers and body of a call to a query API of AWS, signed with Signature Version 4. */
export function signAwsCall(
  { endpoint, service, region, parameters }: AwsCall,
  credentials: AwsCredentials,
  now: number,
): { readonly headers: Readonly<Record<string, string>>; readonly body: string } {
  const body = parameters.map((pair) => pair.map(encode).join('=')).join('&');
  const time = new Date(now).toISOString().replace(/[-:]|\.\d+/gu, '');
  const token = credentials.sessionToken;
  const headers = {
    'content-type': CONTENT_TYPE,
    host: new URL(endpoint).host,
    'x-amz-date': time,
    ...(token !== undefined && { 'x-amz-security-token': token }),
  };
  const names = Object.keys(headers).join(';');
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  const canonical = ['POST', '/', '', lines.join(''), names, sha256(body)].join('\n');
  const scope = [time.slice(0, 8), region, service, 'aws4_request'];
  const toSign = [ALGORITHM, time, scope.join('/'), sha256(canonical)].join('\n');
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`);
  const signature = hmac(key, toSign).toString('hex');
  const credential = `Credential=${credentials.accessKeyId}/${scope.join('/')}`;
  const authorization = `${ALGORITHM} ${credential}, SignedHeaders=${names}, Signature=${signature}`;
  return { headers: { ...headers, authorization }, body };
}

/** Percent-encoding of all that RFC 3986 does not call unreserved. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/gu,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
