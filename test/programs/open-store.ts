/** Opens the store in the file of the first argument and tells what came of it. */
import { systemClock } from '../../src/ops/system-clock.ts';
import { TrustplaneError } from '../../src/spiffe/errors.ts';
import { TrustDomain } from '../../src/spiffe/trust-domain.ts';
import { openSqliteStore } from '../../src/store/index.ts';

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error('usage: open-store.ts PATH');
try {
  const trustDomain = TrustDomain.parse('example.org');
  await (await openSqliteStore({ path, trustDomain, clock: systemClock })).close();
  console.log('opened');
} catch (error) {
  if (!(error instanceof TrustplaneError)) throw error;
  console.log(error.code, error.message);
}
