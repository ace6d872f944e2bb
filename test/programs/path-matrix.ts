/** Settings of Envoy's HTTP connection manager for paths, from none to the one that is recommended. */
export const pathSettings = {
  none: {},
  base: { normalize_path: true },
  merge: { normalize_path: true, merge_slashes: true },
  unescape: {
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD',
  },
  reject: {
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'REJECT_REQUEST',
  },
} as const;

export type PathSetting = keyof typeof pathSettings;

/**
 * What becomes of a path where `/admin` is denied and all else allowed: `refused`, as ambiguous; `denied`, as
 * what the proxy made of it is `/admin`; 400 by the proxy itself; otherwise what reaches the application.
 */
export type PathOutcome = 'refused' | 'denied' | 400 | `/${string}`;

export interface PathRow {
  readonly sent: string;
  readonly outcomes: Readonly<Record<PathSetting, PathOutcome>>;
}

type Outcomes = readonly [PathOutcome, PathOutcome, PathOutcome, PathOutcome, PathOutcome];

function row(sent: string, [none, base, merge, unescape, reject]: Outcomes): PathRow {
  return { sent, outcomes: { none, base, merge, unescape, reject } };
}

const normalized = ['refused', 'denied', 'denied', 'denied', 'denied'] as const;
const unescaped = ['refused', 'refused', 'refused', 'denied', 400] as const;
const refused = ['refused', 'refused', 'refused', 'refused', 'refused'] as const;
const others = (path: `/${string}`) => [path, path, path, path, path] as const;

/** Each way to write `/admin`, or nearly, that servers do not agree on (Envoy 1.40). */
export const pathMatrix: readonly PathRow[] = [
  row('/admin', ['denied', 'denied', 'denied', 'denied', 'denied']),
  row('/admin?a=b', ['denied', 'denied', 'denied', 'denied', 'denied']),
  row('//admin', ['refused', 'refused', 'denied', 'denied', 'denied']),
  row('///admin', ['refused', 'refused', 'denied', 'denied', 'denied']),
  row('/x/../admin', normalized),
  row('/x/%2e%2e/admin', normalized),
  row('/x/.%2E/admin', normalized),
  row('/%61dmin', normalized),
  row('/./admin', normalized),
  row('/%2e/admin', normalized),
  row('/\\admin', ['refused', 'refused', 'denied', 'denied', 'denied']),
  row('/x\\..\\admin', normalized),
  row('/x/..%2fadmin', unescaped),
  row('/x/..%2Fadmin', unescaped),
  row('/x%5c..%5cadmin', unescaped),
  row('/%2fadmin', unescaped),
  row('/%5Cadmin', unescaped),
  row('/admin%2f', ['refused', 'refused', 'refused', '/admin/', 400]),
  row('/x/..;/admin', normalized),
  row('/x/..;a=b/admin', normalized),
  row('/admin;v=1', refused),
  row('/admin;', refused),
  row('/;a/admin', refused),
  row('/admin%3b', others('/admin%3b')),
  row('/admin.', others('/admin.')),
  row('/ADMIN', others('/ADMIN')),
  row('/admin/', others('/admin/')),
  row('/admin%20', others('/admin%20')),
  row('/%2561dmin', others('/%2561dmin')),
  row('/admin%00', ['refused', 400, 400, 400, 400]),
  row('/admin%', refused),
  row('/admin%4', refused),
  row('/admin%zz', refused),
  row('/admin#f', [400, 400, 400, 400, 400]),
  row('/admin\u00e9', [400, 400, 400, 400, 400]),
  row('/x/../../admin', normalized),
];

/** What the most lenient of servers takes a path for: without `;…`, decoded once, with `\`, `//`, `.` and `..` resolved. */
export function lenientPath(target: string): string {
  const [path = ''] = target.split(/[?#]/u);
  const once = path
    .replaceAll(/;[^/]*/gu, '')
    .replaceAll(/%([0-9a-f]{2})/giu, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  const segments: string[] = [];
  for (const piece of once.replaceAll('\\', '/').split('/')) {
    const [segment = ''] = piece.split('\0');
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  const isFolder = once.endsWith('/') && segments.length > 0;
  return `/${segments.join('/')}${isFolder ? '/' : ''}`;
}
