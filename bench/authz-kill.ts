import { AuthzLoad, killAuthz } from '../test/programs/kill-authz.ts';
import { openAuthorizedMesh } from '../test/programs/open-authorized-mesh.ts';
import { against, type Benchmark, median } from './measurement.ts';

const KILLS = 7;
const LIMIT_MS = 1_000;

/** How long an authorization server is away that is killed and started anew, as callers of an Envoy see it. */
export const authzBack: Benchmark = {
  name: 'authz_back_after_kill_ms',
  about: `start of "authz run" after kill -9 under load → first request through a real Envoy that is allowed again; median of ${KILLS}`,
  async run(report) {
    const mesh = await openAuthorizedMesh({ rules: [{ allow: ['GET /a'] }] });
    const load = new AuthzLoad(mesh);
    try {
      const kills = await killAuthz(mesh, load, KILLS);
      const wrong = kills.flatMap(({ between }) => between).find(({ status }) => status !== 503);
      if (wrong !== undefined) throw new Error(`while it was dead a request got ${wrong.status}`);
      const times = kills.map(({ backMs }) => backMs);
      report(times.map((ms) => `${ms.toFixed(0)} ms`).join(', '));
      return against(authzBack.name, median(times), 'ms', LIMIT_MS);
    } finally {
      await load.stop();
      await mesh.close();
    }
  },
};
