import { expect, it } from 'vitest';
import { buildConfig } from '../app/config.ts';
import { defaultPaths } from '../app/default-paths.ts';
import { formatReady } from './ready-text.ts';

const paths = defaultPaths(0, {});
const io = { out: () => {}, err: () => {}, env: {}, uid: 0 };

it('says what serves where, and with entries no more than that', () => {
  expect(formatReady(buildConfig({}, {}, paths), io, false, undefined).split('\n')).toEqual([
    'trustplane is ready for the trust domain example.org',
    '  Workload API and SDS  unix:///run/trustplane/agent.sock',
    '  server API            unix:///run/trustplane/admin.sock',
    '  data directory        /var/lib/trustplane',
    '',
  ]);
});

it('says what to do while there are no entries', () => {
  const text = formatReady(
    buildConfig({ trustDomain: 'prod.example' }, {}, paths),
    io,
    true,
    undefined,
  );
  expect(text.split('\n').slice(-3)).toEqual([
    '  trustplane entry create --spiffe-id spiffe://prod.example/me --selector unix:uid:0',
    '  trustplane api fetch x509',
    '',
  ]);
});

it('names the sockets in the commands where they are not the usual ones, and npx where it was used', () => {
  const flags = { socket: '/a/agent.sock', adminSocket: '/a/admin.sock' };
  const asked = { ...io, env: { npm_command: 'exec' } };
  const text = formatReady(buildConfig(flags, {}, paths), asked, true, undefined);
  expect(text).toContain('  npx trustplane entry create --admin-socket /a/admin.sock --spiffe-id');
  expect(text).toContain('  npx trustplane api fetch x509 --socket /a/agent.sock\n');
});

it('says where proxies ask, and by which policies', () => {
  const { authz } = buildConfig(
    {},
    { authz: { socket: '/run/authz.sock', policies: '/etc/policies' } },
    paths,
  );
  const text = formatReady({ ...buildConfig({}, {}, paths), authz }, io, false, undefined);
  expect(text).toContain('  ext_authz             unix:///run/authz.sock\n');
  expect(text).toContain('  policies              /etc/policies\n');
});

it('names the port for agents where there is one', () => {
  const address = { host: '::', port: 8081 };
  const text = formatReady(buildConfig({}, {}, paths), io, false, address);
  expect(text).toContain('  agents                [::]:8081\n');
});
