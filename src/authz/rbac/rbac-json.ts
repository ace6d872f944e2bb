import { formatAddress } from './format-address.ts';
import type { Matcher, MatchInput, MatchList, MatchMap, Predicate, ValueMatch } from './matcher.ts';
import type { RbacMessage } from './rbac-message.ts';
import { inputType, type RbacTarget, typeUrls } from './type-urls.ts';

type TextMatch = Exclude<ValueMatch, { kind: 'ip' }>;
type Claim = Extract<Predicate, { kind: 'claim' }>;

/** The message as Envoy reads it in YAML and JSON (proto3 JSON), with its `@type`. */
export function rbacJson(message: RbacMessage): object {
  const { target, matcher, shadow, statPrefix, shadowStatPrefix, perRuleStats } = message;
  return {
    '@type': typeUrls[target],
    [target === 'http' ? 'rules_stat_prefix' : 'stat_prefix']: statPrefix,
    ...(shadow !== undefined && { shadow_rules_stat_prefix: shadowStatPrefix }),
    ...(perRuleStats && target === 'http' && { track_per_rule_stats: true }),
    matcher: rootJson(matcher, target),
    ...(shadow !== undefined && { shadow_matcher: rootJson(shadow, target) }),
  };
}

/** Of an action alone, a tree that has nothing but what is otherwise. */
function rootJson(matcher: Matcher, target: RbacTarget): object {
  if (matcher.kind !== 'action') return matcherJson(matcher, target);
  return { on_no_match: onMatchJson(matcher, target) };
}

function matcherJson(matcher: MatchList | MatchMap, target: RbacTarget): object {
  const { otherwise } = matcher;
  return {
    ...(matcher.kind === 'list' ? listJson(matcher, target) : mapJson(matcher, target)),
    ...(otherwise !== undefined && { on_no_match: onMatchJson(otherwise, target) }),
  };
}

function listJson({ entries }: MatchList, target: RbacTarget): object {
  const matchers = entries.map(({ when, then }) => ({
    predicate: predicateJson(when, target),
    on_match: onMatchJson(then, target),
  }));
  return { matcher_list: { matchers } };
}

function mapJson({ by, input, entries }: MatchMap, target: RbacTarget): object {
  const map = Object.fromEntries(
    [...entries].map(([key, matcher]) => [key, onMatchJson(matcher, target)]),
  );
  return {
    matcher_tree: { input: inputJson(input, target), [`${by}_match_map`]: { map } },
  };
}

function onMatchJson(matcher: Matcher, target: RbacTarget): object {
  if (matcher.kind !== 'action') return { matcher: matcherJson(matcher, target) };
  const { name, action } = matcher;
  return { action: extensionJson('action', typeUrls.action, { name, action }) };
}

function predicateJson(predicate: Predicate, target: RbacTarget): object {
  switch (predicate.kind) {
    case 'and':
    case 'or': {
      const [first, ...others] = predicate.all;
      if (first !== undefined && others.length === 0) return predicateJson(first, target);
      const all = predicate.all.map((one) => predicateJson(one, target));
      return { [`${predicate.kind}_matcher`]: { predicate: all } };
    }
    case 'not':
      return { not_matcher: predicateJson(predicate.of, target) };
    case 'claim':
      return { single_predicate: claimJson(predicate) };
    case 'no-client-certificate':
      return { single_predicate: noClientCertificate };
    default: {
      const { input, match } = predicate;
      return { single_predicate: { input: inputJson(input, target), ...matchJson(match) } };
    }
  }
}

function inputJson(input: MatchInput, target: RbacTarget): object {
  const { typeUrl, field } = inputType(input, target);
  return extensionJson(
    input.kind,
    typeUrl,
    field === undefined ? {} : { [field.name]: field.text },
  );
}

function matchJson(match: ValueMatch): object {
  if (match.kind !== 'ip') return { value_match: textJson(match, { google_re2: {} }) };
  const ranges = match.ranges.map(({ bytes, bits }) => ({
    address_prefix: formatAddress(bytes),
    prefix_len: bits,
  }));
  const config = { cidr_ranges: ranges, stat_prefix: 'tp' };
  return { custom_match: extensionJson('ip', typeUrls.ip, config) };
}

/** Only xds.type.matcher.v3 wants to be told which engine it is. */
function textJson(match: TextMatch, engine: object): object {
  switch (match.kind) {
    case 'exact':
      return { exact: match.text, ...(match.ignoreCase === true && { ignore_case: true }) };
    case 'prefix':
      return { prefix: match.text };
    default:
      return { safe_regex: { ...engine, regex: match.regex } };
  }
}

function claimJson({ namespace, path, match, isContained }: Claim): object {
  if (match.kind === 'ip') throw new RangeError('a claim is no address');
  const value = { string_match: textJson(match, {}) };
  const where = { filter: namespace, path: path.map((key) => ({ key })) };
  return {
    input: extensionJson('claim', typeUrls.dynamicMetadata, where),
    custom_match: extensionJson('metadata', typeUrls.metadata, {
      value: isContained ? { list_match: { one_of: value } } : value,
    }),
  };
}

/** The CEL expression `connection.mtls == false`, parsed. */
const noClientCertificate = {
  input: extensionJson('attributes', typeUrls.attributes, {}),
  custom_match: extensionJson('cel', typeUrls.cel, {
    expr_match: {
      cel_expr_parsed: {
        expr: {
          call_expr: {
            function: '_==_',
            args: [
              {
                select_expr: { operand: { ident_expr: { name: 'connection' } }, field: 'mtls' },
              },
              { const_expr: { bool_value: false } },
            ],
          },
        },
      },
    },
  }),
};

function extensionJson(name: string, typeUrl: string, config: object): object {
  return { name, typed_config: { '@type': typeUrl, ...config } };
}
