import { measureLeafIssue } from './leaf-issue.ts';
import { asRatio, type Benchmark } from './measurement.ts';

const BAR = 0.5;

/** Leaves with a fresh key, against key generation and one signature alone. */
export const leafIssue: Benchmark = {
  name: 'leaf_issue_ratio',
  about:
    'X509-SVIDs per second with a fresh key, against createECDH().generateKeys() + crypto.sign(), one thread each',
  async run(report) {
    const { value, baseline } = await measureLeafIssue();
    report(`${value.toFixed(0)} leaves/s, ${baseline.toFixed(0)} keys and signatures/s`);
    return asRatio(leafIssue.name, value / baseline, { kind: 'at-least', ratio: BAR });
  },
};
