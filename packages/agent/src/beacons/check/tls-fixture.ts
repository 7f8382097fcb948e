/** For tests: an authority and certificates of any life, made by openssl. Never part of the program. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Issued {
  /** Paths. */
  certificate: string;
  key: string;
  /** For a server. */
  pair: { cert: Buffer; key: Buffer };
}

export interface Wanted {
  /** Subject alternative names, such as DNS:localhost. */
  names?: string;
  from?: number;
  until: number;
}

const config = `[ca]
default_ca = own
[own]
new_certs_dir = .
database = index
serial = serial
default_md = sha256
policy = any
unique_subject = no
certificate = ca.pem
private_key = ca.key
[any]
commonName = supplied
[req]
distinguished_name = dn
prompt = no
[dn]
CN = unused
`;

/** Why no certificates can be made here; false: they can. */
export function noOpenssl(): string | false {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return false;
  } catch {
    return "needs openssl";
  }
}

export class Authority {
  readonly #dir: string;
  #count = 0;

  /** One that signs itself, or that `above` has signed. */
  constructor(dir: string, name = "Test Authority", above?: { authority: Authority; until: number }) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true });
    for (const [file, text] of [
      ["openssl.cnf", config],
      ["index", ""],
      ["serial", "1000\n"],
    ] as const)
      writeFileSync(join(dir, file), text);
    if (above === undefined) {
      const extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"];
      this.#openssl([
        "req",
        "-x509",
        "-config",
        "openssl.cnf",
        ...newKey("ca.key"),
        "-subj",
        `/CN=${name}`,
        "-days",
        "3650",
        ...extensions,
        "-out",
        "ca.pem",
      ]);
    } else {
      const { certificate, key } = above.authority.#issue(name, { until: above.until, extensions: "basicConstraints=critical,CA:TRUE\n" });
      copyFileSync(certificate, join(dir, "ca.pem"));
      copyFileSync(key, join(dir, "ca.key"));
    }
  }

  /** The file to trust. */
  get ca(): string {
    return join(this.#dir, "ca.pem");
  }

  issue(name: string, { names = "DNS:localhost,IP:127.0.0.1", ...life }: Wanted): Issued {
    return this.#issue(name, { ...life, extensions: `subjectAltName=${names}\n` });
  }

  #issue(name: string, { extensions, from = Date.now() - 3_600_000, until }: Omit<Wanted, "names"> & { extensions: string }): Issued {
    const stem = `${++this.#count}`;
    this.#openssl(["req", "-new", "-config", "openssl.cnf", ...newKey(`${stem}.key`), "-subj", `/CN=${name}`, "-out", `${stem}.csr`]);
    writeFileSync(join(this.#dir, `${stem}.ext`), extensions);
    const dates = ["-startdate", stamp(from), "-enddate", stamp(until)];
    this.#openssl([
      "ca",
      "-config",
      "openssl.cnf",
      "-batch",
      "-notext",
      "-in",
      `${stem}.csr`,
      "-extfile",
      `${stem}.ext`,
      ...dates,
      "-out",
      `${stem}.pem`,
    ]);
    const [certificate, key] = [join(this.#dir, `${stem}.pem`), join(this.#dir, `${stem}.key`)];
    return { certificate, key, pair: { cert: readFileSync(certificate), key: readFileSync(key) } };
  }

  #openssl(args: string[]): void {
    execFileSync("openssl", args, { cwd: this.#dir, stdio: ["ignore", "ignore", "pipe"] });
  }
}

function newKey(file: string): string[] {
  return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file];
}

/** As openssl writes dates: 20260301120000Z. */
function stamp(time: number): string {
  return `${new Date(time).toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
}
