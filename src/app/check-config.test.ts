import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkConfig } from './check-config.ts';

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'tp-check-'));
  file = path.join(folder, 'c.yaml');
});

afterEach(() => rmSync(folder, { recursive: true }));

it('shows what a file comes to, with variables, without secrets', () => {
  writeFileSync(
    file,
    `trustDomain: \${TD}
server: { ca: { ttl: 12h } }
agent: { nodeAttestation: { joinToken: "\${TOKEN}" }, servers: ["\${TD}:1"] }
`,
  );
  const env = { TD: 'prod.example', TOKEN: 'b5d1a4ee-secret' };
  const checked = checkConfig(file, 'up', 0, env);
  expect(checked.options).toEqual({
    trustDomain: 'prod.example',
    'server.ca.ttl': '12h',
    'agent.nodeAttestation.joinToken': '[secret]',
    'agent.servers': ['prod.example:1'],
  });
  expect(checked.config).toMatchObject({ trustDomain: 'prod.example', caTtlMs: 43_200_000 });
  expect(JSON.stringify(checked)).not.toContain('b5d1a4ee');
  expect(JSON.stringify(checked.config).match(/\[secret\]/gu)).toHaveLength(1);
});

it.each([
  ['up', []],
  ['server', ['the section agent says nothing to the role server']],
  [
    'agent',
    [
      'agent.bootstrap is not set: the first start finds nothing to trust a server by',
      'agent.nodeAttestation is not set: the first start has nothing to join with',
    ],
  ],
] as const)('notes what may be a mistake in the role %s', (role, notes) => {
  writeFileSync(file, 'agent: { socket: /a.sock }\n');
  expect(checkConfig(file, role, 0, {}).notes).toEqual(notes);
});

it('notes that anybody may be believed', () => {
  writeFileSync(
    file,
    'agent: { bootstrap: { insecure: true }, nodeAttestation: { joinToken: a } }\n',
  );
  expect(checkConfig(file, 'agent', 0, {}).notes).toEqual([
    'agent.bootstrap.insecure: the first server that answers is believed, whoever it is',
  ]);
});

it('names the variable that is not set, and where', () => {
  writeFileSync(file, 'trustDomain: ${TD}\n');
  expect(() => checkConfig(file, 'up', 0, {})).toThrow(
    `${file}:1:14: the environment variable TD is not set`,
  );
});

it('notes that an agent serves no bundle endpoint', () => {
  writeFileSync(file, "federation: { bundleEndpoint: { address: '0.0.0.0:8443' } }\n");
  const note = 'federation.bundleEndpoint says nothing to the role agent';
  expect(checkConfig(file, 'agent', 0, {}).notes).toContain(note);
  expect(checkConfig(file, 'server', 0, {}).notes).toEqual([]);
});
