/**
 * Who may speak: every key that the master has seen, its state and labels, and the tokens that let new ones in. A key is the identity; a
 * name that was used before inherits nothing (P6). Decides in memory, since ZAP cannot wait; every change is durable before it is told.
 */
import { createHash, randomBytes } from "node:crypto";
import type { KeyState } from "@needfire/shared/api";
import type { MasterConfig } from "@needfire/shared/config";
import { NeedfireError } from "@needfire/shared/errors";
import { masterAgent } from "@needfire/shared/ids";
import { fingerprint } from "@needfire/shared/identity";
import type { MasterEventDraft } from "@needfire/shared/task";
import type { Commit } from "./commit.ts";
import type { KeyRecord, Snapshot, TokenRecord } from "./store/store.ts";

export type Admission = { kind: "accepted" } | { kind: "pending" } | { kind: "refused"; reason: string };

export interface KeysOptions {
  enrolment: MasterConfig["enrolment"];
  pendingMax: number;
  commit: Commit;
  clock: { now(): number };
  /** A key's state changed, durably: sessions follow. */
  onChange(record: KeyRecord): void;
}

const tokensMax = 10_000;

export class Keys {
  readonly #options: KeysOptions;
  readonly #keys = new Map<string, KeyRecord>();
  /** By agent id: the one key that is accepted for it. */
  readonly #accepted = new Map<string, KeyRecord>();
  readonly #tokens = new Map<string, TokenRecord>();
  #pending = 0;
  /** What must be alone, one after the other: an operator's changes. */
  #turn: Promise<unknown> = Promise.resolve();
  /**
   * Admissions go side by side, since thousands may come at once and each waits for the disk; what one takes (a token's use, a place among
   * the pending) is taken before it waits. By agent and by key: two for the same wait for each other.
   */
  readonly #admissions = new Map<string, Promise<unknown>>();

  constructor(options: KeysOptions, { keys, tokens }: Pick<Snapshot, "keys" | "tokens">) {
    this.#options = options;
    for (const key of keys) this.#remember(key);
    for (const token of tokens) this.#tokens.set(token.hash, token);
  }

  /** ZAP's question, before any byte of the peer's is parsed: may this key connect at all? */
  mayConnect(publicKey: string): boolean {
    const known = this.#keys.get(publicKey);
    if (known !== undefined) return known.state === "accepted" || known.state === "pending";
    if (this.#options.enrolment === "closed") return false;
    if (this.#liveTokens()) return true;
    return this.#options.enrolment === "manual" && this.#pending < this.#options.pendingMax;
  }

  /** A proven `hello`: what becomes of it. */
  admit(hello: { agent: string; publicKey: string; token: string | undefined }): Promise<Admission> {
    const { agent, publicKey } = hello;
    const before = [this.#turn, this.#admissions.get(agent), this.#admissions.get(publicKey)].filter((work) => work !== undefined);
    const mine: Promise<Admission> = Promise.allSettled(before)
      .then(() => this.#admit(hello))
      .finally(() => {
        for (const name of [agent, publicKey]) if (this.#admissions.get(name) === mine) this.#admissions.delete(name);
      });
    for (const name of [agent, publicKey]) this.#admissions.set(name, mine);
    return mine;
  }

  list(): KeyRecord[] {
    return [...this.#keys.values()].toSorted((a, b) => a.id.localeCompare(b.id) || a.firstSeen - b.firstSeen);
  }

  get(publicKey: string): KeyRecord | undefined {
    return this.#keys.get(publicKey);
  }

  /** The accepted key of an agent. */
  acceptedFor(agent: string): KeyRecord | undefined {
    return this.#accepted.get(agent);
  }

  /** Throws `NOT_FOUND`, `CONFLICT`. */
  change(reference: string, state: Exclude<KeyState, "pending">, by: string): Promise<KeyRecord> {
    return this.#alone(() => this.#change(reference, state, by));
  }

  /** A new token, given out once; only its hash is kept. */
  createToken({
    uses,
    ttlMs,
    labels,
    by,
  }: {
    uses: number;
    ttlMs: number;
    labels: Record<string, string>;
    by: string;
  }): Promise<{ token: string; record: TokenRecord }> {
    return this.#alone(async () => {
      if (this.#options.enrolment === "closed")
        throw new NeedfireError("CONFLICT", 'enrolment is closed: set "enrolment: token" or "manual" first');
      const dead = this.#tokens.size >= tokensMax ? this.#deadTokens() : [];
      if (this.#tokens.size - dead.length >= tokensMax) throw new NeedfireError("CONFLICT", `there are ${tokensMax} tokens already`);
      const token = randomBytes(18).toString("base64url");
      const record = { hash: hashOf(token), usesLeft: uses, expires: this.#options.clock.now() + ttlMs, labels };
      const event: MasterEventDraft = {
        type: "keys.token_created",
        severity: "normal",
        data: { uses, expires: record.expires, labels, by },
      };
      await this.#options.commit({ tokens: [...dead.map((token) => ({ ...token, usesLeft: 0 })), record], events: [event] });
      for (const { hash } of dead) this.#tokens.delete(hash);
      this.#tokens.set(record.hash, record);
      return { token, record };
    });
  }

  async #admit({ agent, publicKey, token }: { agent: string; publicKey: string; token: string | undefined }): Promise<Admission> {
    if (agent === masterAgent) return { kind: "refused", reason: `"${masterAgent}" cannot be an agent's id` };
    const known = this.#keys.get(publicKey);
    if (known !== undefined && known.id !== agent)
      return { kind: "refused", reason: `this key belongs to "${known.id}": a key has one id. Make new keys for "${agent}"` };
    if (known?.state === "accepted") return { kind: "accepted" };
    if (known?.state === "rejected" || known?.state === "revoked") return { kind: "refused", reason: `this key was ${known.state}` };
    if (token !== undefined) return this.#admitByToken(agent, publicKey, token);
    if (known !== undefined) return { kind: "pending" };
    if (this.#options.enrolment !== "manual") return { kind: "refused", reason: "new agents need a token: ask for a join string" };
    return this.#admitPending(agent, publicKey, "hello");
  }

  async #admitByToken(agent: string, publicKey: string, token: string): Promise<Admission> {
    const { enrolment, clock, commit } = this.#options;
    const record = this.#tokens.get(hashOf(token));
    const usable = enrolment !== "closed" && record !== undefined && record.usesLeft > 0 && record.expires > clock.now();
    if (!usable) {
      if (this.#keys.has(publicKey)) return { kind: "pending" };
      if (enrolment === "manual") return this.#admitPending(agent, publicKey, "hello with a token that is unknown, used up or expired");
      return { kind: "refused", reason: "the token is unknown, used up or expired: ask for a new join string" };
    }
    const holder = this.acceptedFor(agent);
    if (holder !== undefined)
      return { kind: "refused", reason: `another key is accepted as "${agent}": revoke that one first, or choose another id` };
    const used: TokenRecord = { ...record, usesLeft: record.usesLeft - 1 };
    const key = this.#record(agent, publicKey, "accepted", "token", record.labels);
    this.#tokens.set(used.hash, used);
    try {
      await commit({ keys: [key], tokens: [used], events: [keyEvent(key)] });
    } catch (error) {
      this.#giveBack(used.hash);
      throw error;
    }
    if (this.#tokens.get(used.hash)?.usesLeft === 0 && used.usesLeft === 0) this.#tokens.delete(used.hash);
    this.#remember(key);
    return { kind: "accepted" };
  }

  async #admitPending(agent: string, publicKey: string, by: string): Promise<Admission> {
    const { pendingMax, commit } = this.#options;
    if (this.#pending >= pendingMax)
      return { kind: "refused", reason: `${pendingMax} keys wait already: an operator must accept or reject some first` };
    const key = this.#record(agent, publicKey, "pending", by, {});
    this.#pending++;
    try {
      await commit({ keys: [key], events: [keyEvent(key)] });
    } finally {
      this.#pending--;
    }
    this.#remember(key);
    return { kind: "pending" };
  }

  /** An admission was not kept: its use of the token is there again. The store has it with the next one that is kept. */
  #giveBack(hash: string): void {
    const record = this.#tokens.get(hash);
    if (record !== undefined) this.#tokens.set(hash, { ...record, usesLeft: record.usesLeft + 1 });
  }

  async #change(reference: string, state: Exclude<KeyState, "pending">, by: string): Promise<KeyRecord> {
    const before = this.#find(reference, state);
    if (before.state === state) return before;
    if (before.state === "revoked")
      throw new NeedfireError("CONFLICT", `the key of "${before.id}" was revoked, for good: the host must make a new one`);
    if (state === "accepted") {
      const holder = this.acceptedFor(before.id);
      if (holder !== undefined) {
        throw new NeedfireError(
          "CONFLICT",
          `another key (${fingerprint(holder.publicKey)}) is accepted as "${before.id}": revoke that one first`,
        );
      }
    }
    const key: KeyRecord = { ...before, state, changed: this.#options.clock.now(), by };
    await this.#options.commit({ keys: [key], events: [keyEvent(key)] });
    this.#remember(key);
    this.#options.onChange(key);
    return key;
  }

  /** A key by agent id or by (the beginning of) its fingerprint. Of several with one id, the one to which the change can apply. */
  #find(reference: string, state: KeyState): KeyRecord {
    const all = this.list();
    const named = all.filter(
      ({ id, publicKey }) => id === reference || (reference.length >= 4 && fingerprint(publicKey).startsWith(reference)),
    );
    const fitting = named.filter(
      (key) => key.state !== state && (state === "revoked" ? key.state === "accepted" : key.state === "pending"),
    );
    const found = named.length === 1 ? named : fitting;
    if (found.length === 1) return found[0]!;
    if (named.length === 0)
      throw new NeedfireError(
        "NOT_FOUND",
        `there is no key "${reference}": give an agent's id or the beginning of a fingerprint (needfire keys list)`,
      );
    const which = named.map((key) => `${fingerprint(key.publicKey)} (${key.id}, ${key.state})`).join(", ");
    throw new NeedfireError("CONFLICT", `"${reference}" stands for several keys: ${which}. Give a fingerprint`);
  }

  #record(id: string, publicKey: string, state: KeyState, by: string, labels: Record<string, string>): KeyRecord {
    const now = this.#options.clock.now();
    return { id, publicKey, state, labels, firstSeen: this.#keys.get(publicKey)?.firstSeen ?? now, changed: now, by };
  }

  #remember(key: KeyRecord): void {
    const before = this.#keys.get(key.publicKey)?.state;
    if (before === "pending") this.#pending--;
    if (before === "accepted") this.#accepted.delete(key.id);
    if (key.state === "pending") this.#pending++;
    if (key.state === "accepted") this.#accepted.set(key.id, key);
    this.#keys.set(key.publicKey, key);
  }

  #liveTokens(): boolean {
    const now = this.#options.clock.now();
    return this.#tokens.values().some(({ expires, usesLeft }) => expires > now && usesLeft > 0);
  }

  #deadTokens(): TokenRecord[] {
    const now = this.#options.clock.now();
    return [...this.#tokens.values()].filter(({ expires }) => expires <= now);
  }

  /** After every admission that has begun, and before every one that has not. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const mine = Promise.allSettled([this.#turn, ...this.#admissions.values()]).then(work);
    this.#turn = mine.catch(() => {});
    return mine;
  }
}

function keyEvent(key: KeyRecord): MasterEventDraft {
  const severity = key.state === "accepted" ? "normal" : "high";
  return {
    type: `keys.${key.state}`,
    severity,
    subject: key.id,
    data: { agent: key.id, fingerprint: fingerprint(key.publicKey), by: key.by, labels: key.labels },
  };
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
