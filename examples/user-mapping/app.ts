import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

/** Who signs assertions, and for whom. */
export interface AppOptions {
  readonly socketPath: string;
  readonly jwks: URL;
  readonly issuer: string;
  readonly audience: string;
}

interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

/** What is answered: a status, and JSON. */
type Reply = readonly [status: number, body: unknown];

/**
 * Issues of projects, for users whom the proxy names in `x-user` and `x-user-groups`. A signed
 * assertion says that the proxy did: whoever else reaches the socket is nobody.
 */
export async function serveApp(options: AppOptions): Promise<AsyncDisposable> {
  const readUser = createUserReader(options);
  const issues = new Map<string, string[]>();
  const server = createServer((request, response) => {
    request.resume();
    void answer(readUser, issues, request).then(([status, body]) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
    );
  });
  server.listen(options.socketPath);
  await once(server, 'listening');
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function answer(
  readUser: (request: IncomingMessage) => Promise<User>,
  issues: Map<string, string[]>,
  request: IncomingMessage,
): Promise<Reply> {
  let user: User;
  try {
    user = await readUser(request);
  } catch {
    return [401, { error: 'who are you?' }];
  }
  return reply(issues, user, `${request.method} ${request.url}`);
}

function reply(issues: Map<string, string[]>, user: User, line: string): Reply {
  if (line === 'GET /user') return [200, user];
  const [, method, project = ''] = line.match(/^(GET|POST) \/projects\/([a-z]+)\/issues$/) ?? [];
  if (method === undefined) return [404, { error: 'no such thing' }];
  if (!user.groups.includes(project)) return [404, { error: 'no such project' }];
  const list = issues.get(project) ?? [];
  if (method === 'GET') return [200, { ...user, issues: list.length }];
  issues.set(project, [...list, `by ${user.name}`].slice(-100));
  return [201, user];
}

/** Reads the user of a request; throws unless headers and assertion are good and say the same. */
function createUserReader({
  jwks,
  issuer,
  audience,
}: AppOptions): (request: IncomingMessage) => Promise<User> {
  const keys = createRemoteJWKSet(jwks);
  const wanted = { issuer, audience, typ: 'assertion+jwt', algorithms: ['ES256'] };
  return async ({ rawHeaders }) => {
    const [name, groups] = [theOne(rawHeaders, 'x-user'), theOne(rawHeaders, 'x-user-groups')];
    const assertion = theOne(rawHeaders, 'x-identity-assertion');
    const { payload } = await jwtVerify<{ headers: Record<string, string> }>(
      assertion,
      keys,
      wanted,
    );
    if (payload.headers['x-user'] !== name || payload.headers['x-user-groups'] !== groups)
      throw new Error('the assertion is for other headers');
    return { name, groups: groups.split(',') };
  };
}

/** Like CGI and WSGI this takes `X_User` for `x-user`; two lines of either are a doubt. */
function theOne(rawHeaders: readonly string[], name: string): string {
  const isIt = (_: string, at: number): boolean =>
    at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase().replaceAll('_', '-') === name;
  const [value, ...more] = rawHeaders.filter(isIt);
  if (value === undefined || more.length > 0) throw new Error(`one ${name} was expected`);
  return value;
}
