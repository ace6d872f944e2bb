import assert from 'node:assert/strict';
import { eventually } from '../../test/programs/eventually.ts';
import type { AuthorityCommands } from '../../test/programs/spire/server-commands.ts';
import {
  CLIENT,
  countTrusted,
  type InteropMesh,
  presentedSigners,
  serialOfAgent,
  slow,
} from './interop-mesh.ts';

/** Prepare, activate, taint, revoke; each waits until workload and Envoys have what it is for. */
export async function rotateX509Authority(mesh: InteropMesh): Promise<void> {
  const { workload, place } = mesh;
  const { x509 } = place.admin;
  const next = await x509.prepare();
  await trust(mesh, 2);
  const [before] = await workload.fetchX509();
  const agent = await serialOfAgent(place);
  const old = await activated(x509, next);
  await x509.taint(old);
  const isRenewed = async () => (await serialOfAgent(place)) !== agent;
  await eventually('the agent has an SVID of the new authority', isRenewed, slow);
  const isReissued = async () =>
    (await workload.fetchX509()).every(({ authority }) => authority !== before?.authority);
  await eventually('SVIDs of the new authority', isReissued, slow);
  const isPresented = async () =>
    (await presentedSigners(mesh)).every(
      (signer) => signer !== undefined && signer !== before?.authority,
    );
  await eventually('both Envoys present certificates of the new authority', isPresented, slow);
  await x509.revoke(old);
  await trust(mesh, 1);
  assert.notEqual(await workload.serialOf(CLIENT), undefined);
}

/** A server may refuse as long as somebody cannot know the authority yet. Returns the old one. */
async function activated(authorities: AuthorityCommands, authorityId: string): Promise<string> {
  const old = async () => await authorities.activate(authorityId);
  return await eventually('the authority is activated', old, slow);
}

async function trust(mesh: InteropMesh, authorities: number): Promise<void> {
  const isTrusted = async () => (await countTrusted(mesh)).every((each) => each === authorities);
  await eventually(`both Envoys trust ${authorities}`, isTrusted, slow);
}

/** The same for JWT-SVIDs: tokens of the old authority are good until it is revoked. */
export async function rotateJwtAuthority({ workload, place }: InteropMesh): Promise<void> {
  const { jwt } = place.admin;
  const before = await workload.fetchJwt('rotation');
  const next = await jwt.prepare();
  const old = await activated(jwt, next);
  await workload.validateJwt('rotation', before);
  await jwt.taint(old);
  const reissued = async () => {
    const token = await workload.fetchJwt('rotation');
    return keyIdOf(token) === next ? token : undefined;
  };
  const after = await eventually('a JWT-SVID of the new authority', reissued, slow);
  await eventually('it is valid', async () => await workload.validateJwt('rotation', after), slow);
  await jwt.revoke(old);
  const isRefused = async () =>
    await workload.validateJwt('rotation', before).then(
      () => false,
      () => true,
    );
  await eventually('a token of the revoked authority is refused', isRefused, slow);
  await workload.validateJwt('rotation', after);
}

function keyIdOf(token: string): string {
  const header = Buffer.from(token.split('.')[0] ?? '', 'base64url').toString();
  const { kid }: { kid: string } = JSON.parse(header);
  return kid;
}
