import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createThrowawayCa } from '../../src/ca/index.ts';
import { type Bundle, emptyBundle, TrustDomain } from '../../src/spiffe/index.ts';
import { bundleOf, type TestCertificate } from '../fakes/test-certificates.ts';
import {
  issueAuthority,
  issueLeaf,
  SdsGround,
  serverIdentity,
  withoutSanList,
} from '../programs/sds-ground.ts';

/** A trust domain whose keys are gone. */
function strangeBundle(index: number, authorities: number): Bundle {
  const x509Authorities = Array.from({ length: authorities }, () => ({
    certificate: createThrowawayCa(Date.now(), randomBytes),
    tainted: false,
  }));
  return { ...emptyBundle(TrustDomain.parse(`domain-${index}.test`)), x509Authorities };
}

let ground: SdsGround;
beforeEach(async () => {
  ground = await SdsGround.open();
});
afterEach(() => ground.close());

const authorities = (): Promise<[TestCertificate, TestCertificate, TestCertificate]> =>
  Promise.all([issueAuthority('a.test'), issueAuthority('b.test'), issueAuthority('b.test')]);
const isLetIn = async (issuer: TestCertificate, id: string): Promise<boolean> =>
  await ground.isLetIn(await issueLeaf(issuer, `spiffe://${id}`));

describe.each(['GRPC', 'DELTA_GRPC'])('Envoy over %s', (api) => {
  const edit = (bootstrap: string): string =>
    withoutSanList(bootstrap).replace('api_type: GRPC', `api_type: ${api}`);

  it('takes ALL of 900 trust domains, each for its own IDs only, and a change of one', async () => {
    const [a, b, next] = await authorities();
    const identity = serverIdentity(await issueLeaf(a, 'spiffe://a.test/server'));
    const others = Array.from({ length: 898 }, (_, index) => strangeBundle(index, 1));
    const own = bundleOf('a.test', a);
    ground.publish([identity], [own, ...others, bundleOf('b.test', b)]);
    await (await ground.launch(edit)).waitReady();
    expect(await isLetIn(a, 'a.test/client')).toBe(true);
    expect(await isLetIn(b, 'b.test/client')).toBe(true);
    expect(await isLetIn(b, 'domain-7.test/client')).toBe(false);
    ground.publish([identity], [own, ...others, bundleOf('b.test', next)]);
    await ground.takes('ALL', 2);
    expect(await isLetIn(b, 'b.test/client')).toBe(false);
    expect(await isLetIn(next, 'b.test/client')).toBe(true);
    expect(await ground.metric('trustplane_sds_nacks_total{resource="validation_context"}')).toBe(
      0,
    );
  });

  it('goes on with the others when one trust domain has more authorities than TLS can name', async () => {
    const [a, b] = await authorities();
    const identity = serverIdentity(await issueLeaf(a, 'spiffe://a.test/server'));
    ground.publish(
      [identity],
      [bundleOf('a.test', a), strangeBundle(1, 1_000), bundleOf('b.test', b)],
    );
    await (await ground.launch(edit)).waitReady();
    expect(await isLetIn(a, 'a.test/client')).toBe(true);
    expect(await isLetIn(b, 'b.test/client')).toBe(true);
  });
});
