/**
 * What is to be told of a certificate: what was known of it and what is seen now go in, what is known then and the events come out. Pure.
 */

/** Times in ms since the epoch. */
export interface Certificate {
  commonName: string;
  issuer: string;
  serial: string;
  fingerprint: string;
  names: string[];
  notBefore: number;
  notAfter: number;
}

export interface Invalid {
  reason: "untrusted" | "wrong_name" | "not_yet_valid" | "unreadable";
  message: string;
}

/** `chain`: the certificate itself, then those that it hangs on; empty when it cannot be read, and then it is invalid. */
export interface Seen {
  chain: Certificate[];
  invalid?: Invalid | undefined;
}

/** What is kept across restarts. `level`: the days of the threshold that was told, or less than 0 for expired. */
export interface Known {
  leaf?: { fingerprint: string; notAfter: number; names: string[] };
  told?: { fingerprint: string; level: number };
  invalid?: Invalid["reason"];
}

export interface Told {
  type:
    | "certificate.expiring"
    | "certificate.expired"
    | "certificate.renewed"
    | "certificate.changed"
    | "certificate.invalid"
    | "certificate.valid";
  data: Record<string, unknown>;
}

const dayMs = 86_400_000;
const expired = -1;

export function judge(known: Known, seen: Seen, { days, now }: { days: readonly number[]; now: number }): { known: Known; tell: Told[] } {
  const [leaf] = seen.chain;
  const tell: Told[] = [];
  const invalid = seen.invalid?.reason;
  if (leaf !== undefined && known.leaf !== undefined && known.leaf.fingerprint !== leaf.fingerprint) tell.push(changeOf(known.leaf, leaf));
  if (seen.invalid !== undefined && invalid !== known.invalid)
    tell.push({ type: "certificate.invalid", data: { ...(leaf === undefined ? {} : shown(leaf)), ...seen.invalid } });
  if (leaf === undefined) return { known: { ...known, ...(invalid === undefined ? {} : { invalid }) }, tell };
  if (invalid === undefined && known.invalid !== undefined) tell.push({ type: "certificate.valid", data: shown(leaf) });
  const end = endOf(seen.chain, known.told, { days, now });
  if (end.tell !== undefined) tell.push(end.tell);
  const kept = { fingerprint: leaf.fingerprint, notAfter: leaf.notAfter, names: leaf.names };
  return {
    known: { leaf: kept, ...(end.told === undefined ? {} : { told: end.told }), ...(invalid === undefined ? {} : { invalid }) },
    tell,
  };
}

function changeOf(before: NonNullable<Known["leaf"]>, leaf: Certificate): Told {
  const isRenewal = leaf.notAfter > before.notAfter && before.names.join(" ") === leaf.names.join(" ");
  return {
    type: isRenewal ? "certificate.renewed" : "certificate.changed",
    data: {
      ...shown(leaf),
      before: { fingerprint_sha256: before.fingerprint, not_after: iso(before.notAfter), names: before.names },
    },
  };
}

/** A chain holds as long as the one that ends first. */
function endOf(
  chain: Certificate[],
  told: Known["told"],
  { days, now }: { days: readonly number[]; now: number },
): { told: Known["told"]; tell?: Told } {
  const first = chain.reduce((a, b) => (b.notAfter < a.notAfter ? b : a));
  const daysLeft = (first.notAfter - now) / dayMs;
  const crossed = days.filter((each) => daysLeft < each);
  if (daysLeft >= 0 && crossed.length === 0) return { told: undefined };
  const level = daysLeft < 0 ? expired : Math.min(...crossed);
  if (told?.fingerprint === first.fingerprint && told.level <= level) return { told };
  const data = { ...shown(first), chain_position: chain.indexOf(first), days_left: Math.round(daysLeft * 100) / 100 };
  return {
    told: { fingerprint: first.fingerprint, level },
    tell:
      level === expired
        ? { type: "certificate.expired", data }
        : { type: "certificate.expiring", data: { ...data, threshold_days: level } },
  };
}

function shown({ commonName, issuer, serial, fingerprint, names, notBefore, notAfter }: Certificate): Record<string, unknown> {
  return {
    common_name: commonName,
    ...{ issuer, serial, fingerprint_sha256: fingerprint, names },
    not_before: iso(notBefore),
    not_after: iso(notAfter),
  };
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
