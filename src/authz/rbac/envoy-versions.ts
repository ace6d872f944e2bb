import { TrustplaneError } from '../../spiffe/errors.ts';
import { quote } from '../../spiffe/quote.ts';
import type { RbacOptions } from './rbac-options.ts';

type Layout = RbacOptions['layout'];

/** Patch releases make no difference. */
export type EnvoyVersion = readonly [major: number, minor: number];

interface LayoutTerms {
  /** The first Envoy that reads it as it is meant. */
  readonly since: EnvoyVersion;
  /** What is older has not. */
  readonly needs: string;
}

/** By the release notes of Envoy; `nested` was run on 1.36 to 1.40. */
const layouts: Readonly<Record<Layout, LayoutTerms>> = {
  nested: {
    since: [1, 35],
    needs: 'prefix maps that go on to shorter prefixes where a longer one comes to nothing',
  },
  'flat-denies': {
    since: [1, 34],
    needs: '%PATH(NQ:PATH)%, so that rules would see paths with their queries',
  },
};

/** The first Envoy that tells of a connection what its certificate is (`on_downstream_tls_handshake`). */
const CONNECTION_STATE_SINCE: EnvoyVersion = [1, 37];

/** Whether an Envoy can tell who has shown no certificate on a connection; one of a version that is not said can. */
export function hasConnectionState(version: EnvoyVersion | undefined): boolean {
  return version === undefined || !isBefore(version, CONNECTION_STATE_SINCE);
}

/**
 * The form of trees for an Envoy: the wanted one, else the best that it reads.
 * @throws TrustplaneError ERR_RBAC_ENVOY for an Envoy that is too old
 */
export function layoutFor(version: EnvoyVersion, wanted?: Layout): Layout {
  const best = isBefore(version, layouts.nested.since) ? 'flat-denies' : 'nested';
  const layout = wanted ?? best;
  const { since, needs } = layouts[layout];
  if (!isBefore(version, since)) return layout;
  throw new TrustplaneError(
    'ERR_RBAC_ENVOY',
    `Envoy ${version.join('.')} is too old for rules in the layout ${layout}: expected ${since.join('.')} or later; it has no ${needs}`,
  );
}

/**
 * Parses the value of `--envoy-version`, such as 1.40, v1.40.2 or 1.41.0-dev.
 * @throws TrustplaneError ERR_USAGE
 */
export function parseEnvoyVersion(text: string): EnvoyVersion {
  const [, major, minor] = /^v?(\d{1,3})\.(\d{1,4})(?:\.\d{1,4})?(?:-dev)?$/u.exec(text) ?? [];
  if (major === undefined || minor === undefined)
    throw new TrustplaneError(
      'ERR_USAGE',
      `--envoy-version is a version such as 1.40; got ${quote(text)}`,
    );
  return [Number(major), Number(minor)];
}

export function isBefore(one: EnvoyVersion, other: EnvoyVersion): boolean {
  return one[0] < other[0] || (one[0] === other[0] && one[1] < other[1]);
}
