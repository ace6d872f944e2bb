import { describe, expect, it } from 'vitest';
import { TrustDomain } from '../../spiffe/index.ts';
import { parseAgentPathTemplate } from './agent-path-template.ts';

const parse = (text: string) =>
  parseAgentPathTemplate(text, {
    attestor: 'x509pop',
    trustDomain: TrustDomain.parse('a.test'),
    isVariable: (name) => name === 'Name' || name === 'Number',
  });

describe('parseAgentPathTemplate', () => {
  it.each([
    ['/x509pop/{{ .Name }}', '/spire/agent/x509pop/n'],
    ['/x509pop/{{Name}}', '/spire/agent/x509pop/n'],
    ['/{{ .PluginName }}/{{ .Name }}', '/spire/agent/x509pop/n'],
    ['/x509pop/a-{{ .Name }}_{{.Number}}/b', '/spire/agent/x509pop/a-n_7/b'],
  ])('reads %s', (text, path) => {
    expect(parse(text)((name) => (name === 'Name' ? 'n' : '7'))).toBe(path);
  });

  it.each([
    ['', 'no variable'],
    ['/x509pop/fixed', 'no variable'],
    ['/join_token/{{ .Name }}', 'must begin with /x509pop/'],
    ['x509pop/{{ .Name }}', 'must begin with /x509pop/'],
    ['/{{ .Name }}/x509pop', 'must begin with /x509pop/'],
    ['/x509pop{{ .Name }}', 'must begin with /x509pop/'],
    ['/x509pop/{{ .Secret }}', 'unknown variable Secret'],
    ['/x509pop/{{ .Name | upper }}', 'between variables'],
    ['/x509pop/{{ .Name }', 'between variables'],
    ['/x509pop/{{ .Name }}}}', 'between variables'],
    ['/x509pop/{{ .Name }} ', 'between variables'],
    ['/x509pop//{{ .Name }}', 'empty segment'],
    ['/x509pop/{{ .Name }}/', 'empty segment'],
    ['/x509pop/../{{ .Name }}', 'segment ".."'],
    [`/x509pop/${'a'.repeat(600)}{{ .Name }}`, 'over 512'],
  ])('refuses %s', (text, reason) => {
    const refusal = { code: 'ERR_NODE_ATTEST_TEMPLATE', message: expect.stringContaining(reason) };
    expect(() => parse(text)).toThrow(expect.objectContaining(refusal));
  });
});
