/**
 * One login is told by several sources: a record, sshd, PAM. Which reports are about the same one is found by what they have in common
 * within some seconds; each source tells a thing once, so two logins alike are still two. Pure but for what it remembers.
 */
import type { LoginReport } from "./login-lines.ts";

/** Between what two sources say of one login: they write at their own times, some of whole seconds, and PAM waits after a failure. */
const apartMsMax = 10_000;
/** How long after a report another source may still be read. */
const waitMs = 120_000;
const claimsMax = 20_000;
/** So many are known after a restart; most are complete long before. */
const keptClaimsMax = 100;

type Known = Pick<LoginReport, "kind" | "user" | "address" | "service" | "terminal" | "time">;

export interface Claim extends Known {
  sources: LoginReport["source"][];
  /** ms since the epoch. */
  claimedAt: number;
}

/** Programs that let somebody become another user, and write no record of a session. */
const unrecorded = new Set(["su", "sudo"]);

export class LoginClaims {
  /** By kind and user, oldest first. */
  readonly #claims = new Map<string, Claim[]>();
  #size = 0;
  #sweptAt = 0;

  constructor(kept: readonly Claim[] = []) {
    for (const claim of kept) this.#add(claim);
  }

  /** False: another source has told it already. */
  isNew(report: LoginReport, now: number): boolean {
    this.#sweep(now);
    const found = this.#claims.get(keyOf(report))?.find((claim) => isSame(claim, report));
    if (found === undefined) {
      const { kind, user, address, service, terminal, time, source } = report;
      this.#add({ kind, user, address, service, terminal, time, sources: [source], claimedAt: now });
      return true;
    }
    found.sources.push(report.source);
    found.address ??= report.address;
    found.service ??= report.service;
    found.terminal ??= report.terminal;
    return false;
  }

  kept(): Claim[] {
    return [...this.#claims.values()]
      .flat()
      .toSorted((a, b) => a.claimedAt - b.claimedAt)
      .slice(-keptClaimsMax);
  }

  #add(claim: Claim): void {
    const key = keyOf(claim);
    const all = this.#claims.get(key);
    if (all === undefined) this.#claims.set(key, [claim]);
    else all.push(claim);
    this.#size += 1;
  }

  #sweep(now: number): void {
    if (now - this.#sweptAt < 1_000 && this.#size < claimsMax) return;
    this.#sweptAt = now;
    const oldest = this.#size < claimsMax ? now - waitMs : now;
    for (const [key, claims] of this.#claims) {
      const rest = claims.filter(({ claimedAt }) => claimedAt > oldest);
      this.#size -= claims.length - rest.length;
      if (rest.length === 0) this.#claims.delete(key);
      else this.#claims.set(key, rest);
    }
  }
}

function keyOf({ kind, user }: Known): string {
  return `${kind} ${user}`;
}

function isSame(claim: Claim, report: LoginReport): boolean {
  if (Math.abs(claim.time - report.time) > apartMsMax) return false;
  // Of one that failed sshd may write two records: that there is no such user, and that the password was wrong.
  const toldInWords = report.source === "record" && report.kind === "failed" && claim.sources.includes("program");
  if (claim.sources.includes(report.source) && !toldInWords) return false;
  const recorded = report.source === "record" || claim.sources.includes("record");
  if (recorded && report.kind !== "failed" && unrecorded.has(claim.service ?? report.service ?? "")) return false;
  return agree(claim.address, report.address) && agree(claim.service, report.service) && agree(claim.terminal, report.terminal);
}

function agree(one: string | undefined, other: string | undefined): boolean {
  return one === undefined || other === undefined || one === other;
}
