/** How a plain connection becomes TLS in protocols that begin in plain: what to wait for, what to say. */
import type { Socket } from "node:net";
import type { CertificateBeacon } from "@needfire/shared/beacons/certificate";

type Protocol = NonNullable<CertificateBeacon["starttls"]>;

/** `hears`: goes on with this; `refused`: cannot go on. Bytes are looked at as Latin-1. */
interface Dialogue {
  steps: { hears?: Pick<RegExp, "test">; says?: string }[];
  refused: { exec(heard: string): string[] | null };
}

const numbered = /^[45][0-9][0-9][ -].*$/m;

const dialogues: Record<Protocol, Dialogue> = {
  smtp: {
    steps: [
      { hears: /^220 [^\n]*\n/m, says: "EHLO needfire\r\n" },
      { hears: /^250 [^\n]*\n/m, says: "STARTTLS\r\n" },
      { hears: /^220 [^\n]*\n/m },
    ],
    refused: numbered,
  },
  ftp: { steps: [{ hears: /^220 [^\n]*\n/m, says: "AUTH TLS\r\n" }, { hears: /^234[ -][^\n]*\n/m }], refused: numbered },
  imap: {
    steps: [{ hears: /^\* (OK|PREAUTH)[^\n]*\n/m, says: "a STARTTLS\r\n" }, { hears: /^a OK[^\n]*\n/m }],
    refused: /^(a (NO|BAD)|\* BYE).*$/m,
  },
  pop3: { steps: [{ hears: /^\+OK[^\n]*\n/m, says: "STLS\r\n" }, { hears: /^\+OK[^\n]*\n/m }], refused: /^-ERR.*$/m },
  // SSLRequest: a length of 8 and the code 80877103; one byte comes back.
  postgres: { steps: [{ says: "\x00\x00\x00\x08\x04\xd2\x16\x2f" }, { hears: /^S/ }], refused: /^[NE]/ },
  // ExtendedRequest of RFC 4511 with the name of StartTLS, and the response to it, with its result code.
  ldap: {
    steps: [
      { says: "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037" },
      { hears: { test: (heard) => ldapResult(heard) === 0 } },
    ],
    refused: { exec: (heard) => ((ldapResult(heard) ?? 0) === 0 ? null : [`LDAP result ${ldapResult(heard)}`]) },
  },
};

/** ExtendedResponse (0x78) with its result code, an enumeration (0x0a) of one byte. */
function ldapResult(heard: string): number | undefined {
  const at = heard.indexOf("\x0a\x01", heard.indexOf("x") + 1);
  return heard.includes("x") && at > 0 && heard.length > at + 2 ? heard.charCodeAt(at + 2) : undefined;
}

const heardBytesMax = 16_384;

/** Resolves when the other side waits for TLS; rejects when it does not want that, or hangs up. */
export async function askForTls(socket: Socket, protocol: Protocol): Promise<void> {
  const { steps, refused } = dialogues[protocol];
  for (const { hears, says } of steps) {
    if (hears !== undefined) await hear(socket, { hears, refused, protocol });
    if (says !== undefined) socket.write(says, "latin1");
  }
}

interface Hearing {
  hears: Pick<RegExp, "test">;
  refused: Dialogue["refused"];
  protocol: Protocol;
}

function hear(socket: Socket, { hears, refused, protocol }: Hearing): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let heard = "";
  const judge = (bytes: Buffer) => {
    heard += bytes.toString("latin1");
    const no = refused.exec(heard)?.[0];
    if (hears.test(heard)) resolve();
    else if (no !== undefined) reject(new Error(`it does not go from ${protocol} to TLS: ${no.slice(0, 200).trim()}`));
    else if (heard.length > heardBytesMax) reject(new Error(`it does not speak ${protocol}`));
  };
  const closed = () => reject(new Error("the connection was closed"));
  socket.on("data", judge).once("error", reject).once("close", closed).resume();
  return promise.finally(() => socket.pause().off("data", judge).off("error", reject).off("close", closed));
}
