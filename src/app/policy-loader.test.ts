import { describe, expect, it } from 'vitest';
import { PolicyLoader } from './policy-loader.ts';

const textOf = (name: string, path: string) => ({
  name: `${name}.yaml`,
  text: `apiVersion: trustplane/v1\nkind: Policy\nmetadata: { name: ${name} }\nservice: spiffe://a/b\nrules: [{ id: r, from: anyone, allow: [${path}] }]\n`,
});
const load = async (loader: PolicyLoader, ...texts: readonly ReturnType<typeof textOf>[]) =>
  await loader.load({ texts });

describe('a set of policies', () => {
  it('is not compiled again where no text is another', async () => {
    const loader = new PolicyLoader();
    const first = await load(loader, textOf('p', '/a'), textOf('q', '/a'));
    expect(await load(loader, textOf('p', '/a'), textOf('q', '/a'))).toBe(first);
    const other = await load(loader, textOf('p', '/b'), textOf('q', '/a'));
    expect(other.digest).not.toBe(first.digest);
    expect((await load(loader, textOf('p', '/b'))).rules).toBe(1);
    const again = await load(loader, textOf('p', '/a'), textOf('q', '/a'));
    expect(again.digest).toBe(first.digest);
    expect(loader.policiesOf(again.digest)).toHaveLength(2);
  });

  it('stays known after one that is refused', async () => {
    const loader = new PolicyLoader();
    const first = await load(loader, textOf('p', '/a'));
    await expect(load(loader, textOf('p', 'a'))).rejects.toThrow('p.yaml:5:40: rules.0.allow.0');
    expect(await load(loader, textOf('p', '/a'))).toBe(first);
  });

  it('with one name twice is refused, with both places', async () => {
    const twice = { ...textOf('p', '/b'), name: 'q.yaml' };
    await expect(load(new PolicyLoader(), textOf('p', '/a'), twice)).rejects.toThrow(
      'q.yaml:3:19: metadata.name: "p" is the name of the policy at p.yaml:3:19 too',
    );
  });
});
