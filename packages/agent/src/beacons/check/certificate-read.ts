/** Certificates as they come, from a connection or a file, as what is judged and told. Whoever made them may be hostile: all is cut to size. */
import { X509Certificate } from "node:crypto";
import { errorText } from "@needfire/shared/errors";
import type { Certificate, Seen } from "./certificate-judge.ts";

const textCharactersMax = 253;
const namesMax = 20;
/** What one file may hold that is looked at: a bundle of all authorities has some 150. */
const certificatesMax = 1_000;

const pem = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;

/** What a file holds. Of several the first is what the file is about. */
export function parseFile(bytes: Buffer, now: number): Seen {
  try {
    const texts = bytes.toString("latin1").match(pem)?.slice(0, certificatesMax);
    const isDer = bytes[0] === 0x30;
    if (texts === undefined && !isDer) return { chain: [], invalid: { reason: "unreadable", message: "there is no certificate in it" } };
    const chain = (texts ?? [bytes]).map((each) => certificateOf(new X509Certificate(each)));
    return { chain, invalid: notYet(chain, now) };
  } catch (error) {
    return { chain: [], invalid: { reason: "unreadable", message: `a certificate cannot be read: ${errorText(error)}` } };
  }
}

/** What a server has shown, without the authority at the end, which it need not show and which is trusted as it is. */
export function chainOf(leaf: X509Certificate): Certificate[] {
  const chain = [certificateOf(leaf)];
  for (let at = leaf.issuerCertificate; at !== undefined && chain.length < 20; at = at.issuerCertificate) {
    if (at.subject === at.issuer) break;
    chain.push(certificateOf(at));
  }
  return chain;
}

function notYet(chain: Certificate[], now: number): Seen["invalid"] {
  const early = chain.find(({ notBefore }) => notBefore > now);
  return early && { reason: "not_yet_valid", message: `it is valid from ${new Date(early.notBefore).toISOString()} on` };
}

function certificateOf(x509: X509Certificate): Certificate {
  const { subject, issuer, serialNumber, fingerprint256, subjectAltName, validFrom, validTo } = x509;
  return {
    commonName: commonName(subject),
    issuer: commonName(issuer),
    serial: serialNumber.slice(0, textCharactersMax),
    fingerprint: fingerprint256.replaceAll(":", "").toLowerCase(),
    names: namesOf(subjectAltName),
    notBefore: Date.parse(validFrom),
    notAfter: Date.parse(validTo),
  };
}

/** A name of the directory: a line for each part. */
function commonName(name: string | undefined): string {
  const text = /^CN=(.*)$/m.exec(name ?? "")?.[1] ?? (name ?? "").replaceAll("\n", ", ");
  return text.slice(0, textCharactersMax);
}

function namesOf(alternatives: string | undefined): string[] {
  const all = (alternatives ?? "").split(", ").flatMap((each) => /^(?:DNS|IP Address|email|URI):"?(.*?)"?$/.exec(each)?.[1] ?? []);
  return all
    .map((name) => name.slice(0, textCharactersMax))
    .toSorted((a, b) => (a < b ? -1 : Number(a > b)))
    .slice(0, namesMax);
}
