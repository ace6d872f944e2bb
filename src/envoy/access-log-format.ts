/** A line of an access log, field by field, in Envoy's format strings. */
export type AccessLogFormat = Readonly<Record<string, string>>;

const connection = {
  time: '%START_TIME%',
  protocol: '%PROTOCOL%',
  details: '%RESPONSE_CODE_DETAILS%',
  peer: '%DOWNSTREAM_PEER_URI_SAN%',
  peerSerial: '%DOWNSTREAM_PEER_SERIAL%',
  sourceIp: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%',
  destinationPort: '%DOWNSTREAM_LOCAL_PORT%',
  service: '%DOWNSTREAM_LOCAL_URI_SAN%',
} as const;

/**
 * What a line tells of a request: who asked for what, what came of it, and by which rules (`rbac` and `extAuthz` are what those
 * filters left as dynamic metadata).
 */
export const httpAccessLogFormat: AccessLogFormat = {
  ...connection,
  method: '%REQ(:METHOD)%',
  path: '%REQ(:PATH)%',
  authority: '%REQ(:AUTHORITY)%',
  status: '%RESPONSE_CODE%',
  requestId: '%REQ(X-REQUEST-ID)%',
  rbac: '%DYNAMIC_METADATA(envoy.filters.http.rbac)%',
  extAuthz: '%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%',
};

/** What a line tells of a connection whose bytes are not read; `details` is why it ended. */
export const tcpAccessLogFormat: AccessLogFormat = {
  ...connection,
  details: '%CONNECTION_TERMINATION_DETAILS%',
  rbac: '%DYNAMIC_METADATA(envoy.filters.network.rbac)%',
  extAuthz: '%DYNAMIC_METADATA(envoy.filters.network.ext_authz)%',
};
