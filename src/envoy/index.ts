/** Envoy's own configuration: writes sidecars that are safe, and finds what is dangerous in others. */

export {
  type AccessLogEntry,
  maxAccessLogLineBytes,
  parseAccessLogEntry,
  type RbacVerdict,
} from './access-log-entry.ts';
export {
  type AccessLogFormat,
  httpAccessLogFormat,
  tcpAccessLogFormat,
} from './access-log-format.ts';
