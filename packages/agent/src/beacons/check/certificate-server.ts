/** The certificate that a server shows: one connection, which ends after the handshake. */
import { connect, type LookupFunction, type Socket } from "node:net";
import { connect as secure } from "node:tls";
import type { CertificateBeacon } from "@needfire/shared/beacons/certificate";
import { systemCode } from "@needfire/shared/errors";
import type { Invalid, Seen } from "./certificate-judge.ts";
import { chainOf } from "./certificate-read.ts";
import { hostAndPort, serverName } from "./lookup.ts";
import { askForTls } from "./starttls.ts";
import { Stopwatch } from "./stopwatch.ts";
import type { Trust } from "./trust.ts";

export interface LookOptions {
  address: string;
  starttls: CertificateBeacon["starttls"];
  verify: boolean;
  trust: Trust;
  family: number;
  lookup: LookupFunction;
  signal: AbortSignal;
}

/** What OpenSSL and Node say of a certificate, as what is told. An expired one is told as that, by its date. */
const reasons: Record<string, Invalid["reason"] | undefined> = {
  CERT_HAS_EXPIRED: undefined,
  CERT_NOT_YET_VALID: "not_yet_valid",
  ERR_TLS_CERT_ALTNAME_INVALID: "wrong_name",
};

export type Look = { ok: true; seen: Seen } | { ok: false; message: string };

export async function lookAtServer({ address, starttls, verify, trust, family, lookup, signal }: LookOptions): Promise<Look> {
  const watch = new Stopwatch();
  const { host, port } = hostAndPort(address);
  const plain = connect({ host, port, family, lookup });
  let secured: Socket = plain;
  const abort = () => void secured.destroy(new Error("aborted"));
  signal.addEventListener("abort", abort, { once: true });
  // An error while nobody waits would end the process.
  plain.on("error", () => undefined);
  watch.follow(plain);
  try {
    await until(plain, "connect");
    if (starttls !== undefined) await askForTls(plain, starttls);
    const name = serverName(host);
    const socket = secure({
      socket: plain,
      host,
      ...(name === undefined ? {} : { servername: name }),
      ...trust.options(),
      rejectUnauthorized: false,
    });
    secured = socket.on("error", () => undefined);
    watch.follow(socket);
    await until(socket, "secureConnect");
    const leaf = socket.getPeerX509Certificate();
    if (leaf === undefined) return { ok: false, message: "it showed no certificate" };
    // An error, whatever the types say: with a code, or without.
    const error = socket.authorized ? undefined : (socket.authorizationError as unknown as string | Error | null);
    return { ok: true, seen: { chain: chainOf(leaf), ...(verify && error ? { invalid: invalidOf(error) } : {}) } };
  } catch (error) {
    return { ok: false, message: watch.trouble(error, { tls: true, signal }).message };
  } finally {
    signal.removeEventListener("abort", abort);
    secured.destroy();
    plain.destroy();
  }
}

function invalidOf(error: string | Error): Invalid | undefined {
  const code = typeof error === "string" ? error : (systemCode(error) ?? error.message);
  const reason = Object.hasOwn(reasons, code) ? reasons[code] : "untrusted";
  return reason && { reason, message: code.toLowerCase().replaceAll("_", " ").slice(0, 500) };
}

function until(socket: Socket, event: "connect" | "secureConnect"): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once(event, () => resolve()).once("error", reject);
    socket.once("close", () => reject(new Error("the connection was closed")));
  });
}
