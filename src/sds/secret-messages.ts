import type { Type } from 'protobufjs';
import { messageType } from '../wire/index.ts';

const TLS = 'envoy.extensions.transport_sockets.tls.v3';
const TLS_FOLDER = 'envoy/extensions/transport_sockets/tls/v3';

/** The type URL of a secret. */
export const SECRET_TYPE_URL: string = `type.googleapis.com/${TLS}.Secret`;
export const SPIFFE_VALIDATOR_TYPE_URL: string = `type.googleapis.com/${TLS}.SPIFFECertValidatorConfig`;

/** What secrets are written with. */
export interface SecretMessages {
  readonly secret: Type;
  readonly tlsCertificate: Type;
  readonly validationContext: Type;
  readonly typedExtension: Type;
  readonly spiffeValidator: Type;
  readonly any: Type;
}

export function loadSecretMessages(): SecretMessages {
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
    any: messageType('envoy/config/core/v3/extension.proto', 'google.protobuf.Any'),
  };
}
