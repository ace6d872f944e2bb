/** The server's own API: entries, bundles and status for administrators, issuance for agents. */
export {
  createAdminService,
  type HealthCheck,
} from './admin-service.ts';
export { createBundleService } from './bundle-service.ts';
export { createEntryService } from './entry-service.ts';
export { requireAdmin } from './require-admin.ts';
export {
  createSvidIssuance,
  type SvidIssuance,
} from './svid-issuance.ts';
