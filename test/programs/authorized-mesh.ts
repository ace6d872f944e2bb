import { onTestFinished } from 'vitest';
import {
  type AuthorizedMesh,
  type AuthorizedMeshOptions,
  openAuthorizedMesh,
} from './open-authorized-mesh.ts';

export type { AuthorizedMesh } from './open-authorized-mesh.ts';

/** Resolves when both Envoys have their certificates. Everything ends with the test. */
export async function launchAuthorizedMesh(
  options: AuthorizedMeshOptions,
): Promise<AuthorizedMesh> {
  const mesh = await openAuthorizedMesh(options);
  onTestFinished(async () => await mesh.close());
  return mesh;
}
