import type { Type } from 'protobufjs';
import { messageType } from '../wire/index.ts';

const TLS = 'envoy.extensions.transport_sockets.tls.v3';
const TLS_FOLDER = 'envoy/extensions/transport_sockets/tls/v3';
const DISCOVERY = 'envoy.service.discovery.v3';
const DISCOVERY_FILE = 'envoy/service/discovery/v3/discovery.proto';

/** The type URL of the one resource type SDS serves. */
export const SECRET_TYPE_URL: string = `type.googleapis.com/${TLS}.Secret`;
export const SPIFFE_VALIDATOR_TYPE_URL: string = `type.googleapis.com/${TLS}.SPIFFECertValidatorConfig`;

/** The messages of the SDS exchange, ready to encode and decode. */
export interface SdsMessages {
  readonly secret: Type;
  readonly tlsCertificate: Type;
  readonly validationContext: Type;
  readonly typedExtension: Type;
  readonly spiffeValidator: Type;
  readonly sotwRequest: Type;
  readonly sotwResponse: Type;
  readonly deltaRequest: Type;
  readonly deltaResponse: Type;
  readonly resource: Type;
  readonly any: Type;
}

export function loadSdsMessages(): SdsMessages {
  return {
    secret: messageType(`${TLS_FOLDER}/secret.proto`, `${TLS}.Secret`),
    tlsCertificate: messageType(`${TLS_FOLDER}/common.proto`, `${TLS}.TlsCertificate`),
    validationContext: messageType(
      `${TLS_FOLDER}/common.proto`,
      `${TLS}.CertificateValidationContext`,
    ),
    typedExtension: messageType(
      'envoy/config/core/v3/extension.proto',
      'envoy.config.core.v3.TypedExtensionConfig',
    ),
    spiffeValidator: messageType(
      `${TLS_FOLDER}/tls_spiffe_validator_config.proto`,
      `${TLS}.SPIFFECertValidatorConfig`,
    ),
    sotwRequest: messageType(DISCOVERY_FILE, `${DISCOVERY}.DiscoveryRequest`),
    sotwResponse: messageType(DISCOVERY_FILE, `${DISCOVERY}.DiscoveryResponse`),
    deltaRequest: messageType(DISCOVERY_FILE, `${DISCOVERY}.DeltaDiscoveryRequest`),
    deltaResponse: messageType(DISCOVERY_FILE, `${DISCOVERY}.DeltaDiscoveryResponse`),
    resource: messageType(DISCOVERY_FILE, `${DISCOVERY}.Resource`),
    any: messageType(DISCOVERY_FILE, 'google.protobuf.Any'),
  };
}
