/** The `certificate` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { durationMs } from "../duration.ts";
import { addresses, addressesContradiction, family, twice } from "./reachability.ts";
import { absolutePath, type BeaconSpec, common, type Contradiction, duration, interval } from "./spec.ts";

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "certificate" },
    addresses: {
      ...addresses,
      minItems: 0,
      default: [],
      description: "servers whose certificate is looked at; each is the subject of its events",
    },
    server_name: {
      type: "string",
      minLength: 1,
      maxLength: 253,
      description: "the name to ask the servers for and to check; default: the host's",
    },
    starttls: {
      enum: ["ftp", "imap", "ldap", "pop3", "postgres", "smtp"],
      description: "the servers begin in plain, and TLS is asked for as in this protocol",
    },
    verify: { type: "boolean", default: true, description: "tell a server's certificate that is not trusted or not for its name" },
    ca: { ...absolutePath, description: "a PEM file on the agent's host: certificates to trust instead of those that the host trusts" },
    family,
    files: {
      type: "array",
      items: { ...absolutePath, description: "an absolute path or glob" },
      default: [],
      maxItems: 1_000,
      description: "files with certificates (PEM or DER), directories (with all below them) and globs",
    },
    days: {
      type: "array",
      items: { type: "number", minimum: 0, maximum: 3_650 },
      default: [30, 14, 7, 3, 1],
      minItems: 1,
      maxItems: 50,
      description: "`certificate.expiring` is told when fewer days than each of these are left",
    },
    timeout: { ...duration, default: "10s", description: "how long a server may take; 1ms to 5m" },
    interval: {
      ...interval("1h"),
      description: "how often it looks, give or take a tenth; 100ms to 24h. A server that did not answer is asked again within a minute",
    },
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type CertificateBeacon = FromSchema<typeof options>;

const time = { type: "string", description: "ISO 8601, UTC" } as const;

const certificateProperties = {
  common_name: { type: "string" },
  issuer: { type: "string", description: "who signed it: the common name, else all of the name" },
  serial: { type: "string", description: "hexadecimal" },
  fingerprint_sha256: { type: "string", description: "hexadecimal" },
  names: { type: "array", items: { type: "string" }, description: "what it is for (subject alternative names); 20 at most" },
  not_before: time,
  not_after: time,
} as const;
const certificateKeys = Object.keys(certificateProperties);

const where = {
  address: { type: "string", description: "the server" },
  path: { type: "string", description: "the file" },
} as const;

function data<const P extends Readonly<Record<string, JSONSchema>>>(own: P, required: readonly string[]) {
  return { type: "object", properties: { ...where, ...own }, required, additionalProperties: false } as const;
}

const expiry = data(
  {
    ...certificateProperties,
    chain_position: { type: "integer", description: "0: the server's own, or the first of the file; otherwise one that it hangs on" },
    days_left: { type: "number", description: "under 0: days since it expired" },
    threshold_days: { type: "number", description: "which of `days` it has crossed" },
  },
  [...certificateKeys, "chain_position", "days_left"],
);

const change = data(
  {
    ...certificateProperties,
    before: {
      type: "object",
      properties: { fingerprint_sha256: { type: "string" }, not_after: time, names: { type: "array", items: { type: "string" } } },
      required: ["fingerprint_sha256", "not_after", "names"],
      additionalProperties: false,
    },
  },
  [...certificateKeys, "before"],
);

const trouble = data(
  {
    ...certificateProperties,
    reason: {
      enum: ["untrusted", "wrong_name", "not_yet_valid", "unreadable"],
      description: "unreadable: the file is not there, or has no certificate that can be read",
    },
    message: { type: "string" },
  },
  ["reason", "message"],
);

const address = "shop.example.com:443";
const example = {
  address,
  common_name: "shop.example.com",
  issuer: "Example CA 1",
  serial: "04D2F1A9",
  fingerprint_sha256: "3f".repeat(32),
  names: ["shop.example.com", "www.shop.example.com"],
  not_before: "2026-01-03T00:00:00.000Z",
  not_after: "2026-04-03T00:00:00.000Z",
};
const before = { fingerprint_sha256: "9b".repeat(32), not_after: "2026-02-03T00:00:00.000Z", names: example.names };

export const certificate = {
  summary: "Certificates of servers and in files: when they expire, change, or are not trusted.",
  options,
  events: {
    "certificate.expiring": {
      description: "Fewer days are left than one of `days`; told once for each of those. Of a chain, the one that expires first.",
      severity: "normal",
      data: expiry,
      example: { subject: address, data: { ...example, chain_position: 0, days_left: 13.9, threshold_days: 14 } },
    },
    "certificate.expired": {
      description: "A certificate, or one that it hangs on, has expired. Told once.",
      severity: "high",
      data: expiry,
      example: { subject: address, data: { ...example, chain_position: 0, days_left: -0.1 } },
    },
    "certificate.renewed": {
      description: "There is another certificate, for the same names, that lasts longer.",
      severity: "normal",
      data: change,
      example: { subject: address, data: { ...example, before } },
    },
    "certificate.changed": {
      description: "There is another certificate that is no renewal: for other names, or one that lasts no longer.",
      severity: "high",
      data: change,
      example: { subject: address, data: { ...example, before: { ...before, names: ["shop.example.net"] } } },
    },
    "certificate.invalid": {
      description:
        "A certificate is not trusted, not for the name, not valid yet, or cannot be read. Told once, until `certificate.valid`.",
      severity: "high",
      data: trouble,
      example: { subject: address, data: { ...example, reason: "untrusted", message: "self-signed certificate" } },
    },
    "certificate.valid": {
      description: "What `certificate.invalid` told is over.",
      severity: "normal",
      data: data(certificateProperties, certificateKeys),
      example: { subject: address, data: example },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction({ addresses: servers, files, timeout }: CertificateBeacon): Contradiction | undefined {
  if (servers.length + files.length === 0) return { path: [], message: 'nothing to look at: give "addresses" or "files"' };
  const ms = durationMs(timeout);
  if (ms < 1 || ms > 300_000) return { path: ["timeout"], message: `a timeout is 1ms to 5m, got "${timeout}"` };
  return addressesContradiction("addresses", servers) ?? twice("files", files);
}
