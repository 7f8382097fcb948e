/**
 * Whom a TLS connection trusts and what it shows of itself: from files on the host, read again when they change. Without a `ca` it is what the
 * host trusts (its own bundle of authorities, with those that its administrator added), not what Node brings along.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { checkServerIdentity, type ConnectionOptions, createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { errorText } from "@needfire/shared/errors";

/** Where distributions keep the bundle: Debian, Red Hat, SUSE, Alpine. */
const bundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

export interface TrustDefinition {
  ca?: string | undefined;
  server_name?: string | undefined;
  certificate?: string | undefined;
  key?: string | undefined;
  insecure?: boolean | undefined;
}

export class Trust {
  readonly #definition: TrustDefinition;
  readonly #settings: SecureContextOptions;
  readonly #contexts = new Map<string, { of: string; context: SecureContext }>();

  /** `settings`: beside what is trusted, such as which versions of TLS will do. */
  constructor(definition: TrustDefinition, settings: SecureContextOptions = {}) {
    this.#definition = definition;
    this.#settings = settings;
  }

  /**
   * Throws when a file that it needs cannot be read: nothing could be said of the other side. `own`: for the server that the definition names;
   * another one is not shown the client's certificate, nor asked for by the name.
   */
  options(own = true): ConnectionOptions {
    const { server_name: name, insecure = false } = this.#definition;
    return {
      secureContext: this.#secureContext(own),
      rejectUnauthorized: !insecure,
      // Node checks against the host that it connects to; here it is the name that was asked for.
      ...(name === undefined || !own ? {} : { servername: name, checkServerIdentity: (_host, cert) => checkServerIdentity(name, cert) }),
    };
  }

  #secureContext(own: boolean): SecureContext {
    const { ca = bundles.find((file) => existsSync(file)), certificate, key } = this.#definition;
    const files = own ? { ca, cert: certificate, key } : { ca };
    const of = Object.values(files)
      .map((file) => (file === undefined ? "" : stamp(file)))
      .join(" ");
    const kept = this.#contexts.get(String(own));
    if (kept?.of === of) return kept.context;
    const context = secureContext(files, this.#settings);
    this.#contexts.set(String(own), { of, context });
    return context;
  }
}

interface TlsFiles {
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
}

function secureContext(files: TlsFiles, settings: SecureContextOptions): SecureContext {
  const named = Object.entries(files).filter((pair): pair is [string, string] => pair[1] !== undefined);
  try {
    return createSecureContext({ ...settings, ...Object.fromEntries(named.map(([option, file]) => [option, readFileSync(file)])) });
  } catch (error) {
    throw new Error(`TLS cannot use ${named.map(([, file]) => file).join(", ")}: ${errorText(error)}`, { cause: error });
  }
}

function stamp(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? "" : `${found.dev}:${found.ino}:${found.size}:${found.mtimeMs}`;
}
