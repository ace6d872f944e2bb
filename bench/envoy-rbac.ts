import { compileRbac, encodeRbac, rbacJson, rbacMessage } from '../src/authz/rbac/index.ts';
import { against, asRatio, type Benchmark, type Measurement, median } from './measurement.ts';
import { MESH_ROUNDS, MeshGround, medianCpuRatio, REQUESTS_PER_SECOND } from './mesh-ground.ts';
import { allowingOf, compiledRbac, RBAC_CLIENT, rbacOptions } from './rbac-policies.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

const FILTER_STATE = 'type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config';
const ROUNDS = 9;
const COMPILED = 10_000;
const KIB = 1_024;

const rbacCpu = rbacCpuRatio('envoy_rbac_cpu_ratio', 1_000, 10, 1.4);
const rbac10kCpu = rbacCpuRatio('envoy_rbac_10k_cpu_ratio', 10_000, 20, 2);

/** CPU of each request of an Envoy that decides by its own RBAC, against the same Envoy without any authorization. */
function rbacCpuRatio(name: string, rules: number, globPercent: number, bar: number): Benchmark {
  return {
    name,
    about: `CPU of Envoy for each request at ${REQUESTS_PER_SECOND}/s over mTLS with ${rules} rules in it, ${globPercent} % of them with globs, and every guard, against the same Envoy without authorization, by turns, median of ${MESH_ROUNDS}`,
    async run(report) {
      const ratio = await withTemporaryFolder(async (folder) => {
        await using ground = await MeshGround.open(folder, RBAC_CLIENT);
        const sides = [
          await ground.launch('alone', { filters: [] }),
          await ground.launch('rbac', { filters: rbacFilters(rules, globPercent) }),
        ];
        const [alone, deciding] = await ground.measure(sides, allowingOf(rules), report);
        return medianCpuRatio(deciding, alone);
      });
      return asRatio(name, ratio, { kind: 'at-most', ratio: bar });
    },
  };
}

/** From checked policies to the bytes that an Envoy is sent. */
const rbacCompile: Benchmark = {
  name: 'rbac_compile_10k_ms',
  about: `compiling and encoding ${COMPILED} rules for Envoy's RBAC, 20 % of them with globs, CPU time with collection of garbage, median of ${ROUNDS}`,
  run: async (report): Promise<Measurement> => {
    const options = rbacOptions(COMPILED, 20);
    const times: number[] = [];
    const encoding: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const start = process.cpuUsage();
      const { alone } = compileRbac(options);
      const compiled = process.cpuUsage();
      encodeRbac(rbacMessage({ target: 'http', matcher: alone }));
      encoding.push(cpuMs(compiled));
      times.push(cpuMs(start));
    }
    report(`encoding alone ${median(encoding).toFixed(0)} ms`);
    for (const rules of [10, 1_000, COMPILED]) {
      const { alone } = compiledRbac(rules, 20);
      const { length } = encodeRbac(rbacMessage({ target: 'http', matcher: alone }));
      report(
        `${rules} rules: ${(length / KIB).toFixed(1)} KiB, ${(length / rules).toFixed(0)} octets each`,
      );
    }
    return against('rbac_compile_10k_ms', median(times), 'ms', 500);
  },
};

export const rbacBenches: readonly Benchmark[] = [rbacCpu, rbac10kCpu, rbacCompile];

function rbacFilters(rules: number, globPercent: number): readonly object[] {
  const { alone } = compiledRbac(rules, globPercent);
  return [
    {
      name: 'tp-attrs',
      typed_config: {
        '@type': FILTER_STATE,
        on_request_headers: [
          state('tp.path', '%PATH(NQ:PATH)%'),
          state('tp.serial', '%DOWNSTREAM_PEER_SERIAL%'),
        ],
      },
    },
    {
      name: 'envoy.filters.http.rbac',
      typed_config: rbacJson(rbacMessage({ target: 'http', matcher: alone })),
    },
  ];
}

function state(key: string, format: string): object {
  return {
    object_key: key,
    factory_key: 'envoy.string',
    format_string: { text_format_source: { inline_string: format }, omit_empty_values: true },
    skip_if_empty: true,
  };
}

function cpuMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1_000;
}
