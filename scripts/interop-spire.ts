/**
 * `npm run drill:spire`: a SPIRE agent on our server and our agent on a SPIRE server, real programs,
 * through renewals, rotations, restarts and bans. `-- AGENT/SERVER [WORD]` runs one pair, such as
 * `spire/spire`, and of its drills those with that word in their name. Then two trust domains, one of each
 * maker, that federate; `-- federation [https_spiffe|https_web]` runs that alone. Exits with 2 where SPIRE
 * or Envoy is missing.
 */
import { findEnvoy } from '../test/programs/find-envoy.ts';
import { ProgramMissingError } from '../test/programs/pip.ts';
import { findSpire } from '../test/programs/spire/find-spire.ts';
import type { Maker, Makers } from '../test/programs/spire/interop-place.ts';
import { clockDrill } from './interop/clock-drill.ts';
import { federationDrill } from './interop/federation-drill.ts';
import { joinDrill } from './interop/join-drill.ts';
import { nestedDrill } from './interop/nested-drill.ts';
import { type Drill, runDrill } from './interop/run-drill.ts';
import { runTwoDomains } from './interop/two-domains-drill.ts';
import { x509popDrill } from './interop/x509pop-drill.ts';

const FEDERATION = 'federation';
const profiles = ['https_spiffe', 'https_web'] as const;

process.exitCode = await main(process.argv.slice(2));

async function main([pair, word = '']: readonly string[]): Promise<number> {
  const pairs = pairsOf(pair);
  try {
    const spire = await findSpire();
    const envoy = await findEnvoy();
    process.stdout.write(`SPIRE ${spire.version}, Envoy ${envoy.version}\n`);
    const run = async <World>(drill: Drill<World>, makers: Makers) =>
      drill.name.includes(word) ? await runDrill(drill, spire, makers) : 0;
    let failed = 0;
    for (const makers of pairs.map(parsePair)) {
      failed += await run(joinDrill, makers);
      failed += await run(x509popDrill, makers);
      failed += await run(clockDrill, makers);
      failed += await run(nestedDrill, makers);
      failed += await run(federationDrill, makers);
    }
    for (const profile of pair === undefined || pair === FEDERATION ? profiles : []) {
      if (profile.includes(word)) failed += await runTwoDomains(spire, profile);
    }
    process.stdout.write(failed === 0 ? 'all passed\n' : `${failed} failed\n`);
    return failed === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof ProgramMissingError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
}

function pairsOf(argument: string | undefined): readonly string[] {
  if (argument === undefined) return ['spire/trustplane', 'trustplane/spire'];
  return argument === FEDERATION ? [] : [argument];
}

function parsePair(text: string): Makers {
  const [agent, server] = text.split('/');
  if (isMaker(agent) && isMaker(server)) return { server, agent };
  throw new Error(`expected AGENT/SERVER, each spire or trustplane, or ${FEDERATION}; got ${text}`);
}

function isMaker(text: string | undefined): text is Maker {
  return text === 'spire' || text === 'trustplane';
}
