/**
 * The `dns` beacon: asks name servers and tells when one has no answer, a slow one or a wrong one, and, if told to watch, when the answers are others
 * than before. It asks the servers itself: what the host caches, or has in /etc/hosts, is not looked at.
 */
import { Resolver } from "node:dns/promises";
import { answerCharactersMax, answersToldMax } from "@needfire/shared/beacons/dns";
import { durationMs } from "@needfire/shared/duration";
import { errorText, systemCode } from "@needfire/shared/errors";
import type { BeaconContext, DefinitionOf, RunningBeacon } from "../beacon.ts";
import { answersOf, compare, expectedOf, type Resolved } from "./dns-answers.ts";
import { type Answer, startReachability, type Target } from "./reachability.ts";

type DnsDefinition = DefinitionOf<"dns">;

/** A lost packet is sent once more, and waited for twice as long. */
const tries = 2;
const waitParts = 1 + 2;

const reasons: Record<string, readonly [string, string]> = {
  ENOTFOUND: ["not_found", "the name does not exist"],
  ENODATA: ["no_data", "the name has no such record"],
  ESERVFAIL: ["server_failure", "the server failed"],
  ENOTIMP: ["refused", "the server does not do this"],
  EREFUSED: ["refused", "the server refused"],
  ECONNREFUSED: ["connect", "no server could be reached"],
  ETIMEOUT: ["timeout", "no answer within the time"],
  ECANCELLED: ["timeout", "no answer within the time"],
};

export function start(definition: DnsDefinition, context: BeaconContext): RunningBeacon {
  const known = context.memory.take();
  const servers = definition.servers.length === 0 ? [undefined] : definition.servers;
  const targets = definition.names.flatMap((name) => servers.map((server) => targetOf(definition, context, { name, server, known })));
  const watched = new Set(definition.watch ? targets.map(({ subject }) => rowOf(subject)) : []);
  for (const key of known.keys()) if (key.startsWith(rowOf("")) && !watched.has(key)) context.memory.set(key, undefined);
  return startReachability(definition, context, targets, known);
}

const rowOf = (subject: string) => `answers:${subject}`;

interface Asked {
  name: string;
  server: string | undefined;
  known: Map<string, unknown>;
}

function targetOf(definition: DnsDefinition, context: BeaconContext, { name, server, known }: Asked): Target {
  const { record, watch } = definition;
  const subject = `${name} ${record}${server === undefined ? "" : ` @${server}`}`;
  const data = { name, record, ...(server === undefined ? {} : { server }) };
  const judge = judgeOf(definition);
  let before = known.get(rowOf(subject)) as string[] | undefined; // our own row
  let after: string[] = [];
  return {
    subject,
    data,
    async check(signal): Promise<Answer> {
      const begun = performance.now();
      try {
        after = await ask(definition, { name, server, signal });
        return { latencyMs: performance.now() - begun, ...judge(after) };
      } catch (error) {
        const [reason, message] = reasons[systemCode(error) ?? ""] ?? ["malformed", "the answer cannot be used"];
        return { ok: false, latencyMs: performance.now() - begun, reason, message: `${message} (${errorText(error)})`, data: {} };
      }
    },
    answered() {
      if (!watch) return;
      const { added, removed } = compare(before ?? after, after);
      const isNew = before === undefined;
      if (added.length + removed.length > 0)
        context.emit({
          type: "dns.changed",
          subject,
          data: { ...data, before: told(before ?? []), after: told(after), added: told(added), removed: told(removed) },
        });
      else if (!isNew) return;
      before = after;
      context.memory.set(rowOf(subject), after);
    },
  };
}

async function ask(
  { record, timeout, servers }: DnsDefinition,
  { name, server, signal }: { name: string; server: string | undefined; signal: AbortSignal },
): Promise<string[]> {
  // One for each look: it reads /etc/resolv.conf anew, and what it could remember is gone with it.
  const resolver = new Resolver({ timeout: Math.ceil(durationMs(timeout) / waitParts), tries });
  if (servers.length > 0 && server !== undefined) resolver.setServers([server]);
  const cancel = () => resolver.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    return answersOf(record, (await resolver.resolve(name, record)) as Resolved);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

type Verdict = { data: Record<string, unknown> } & ({ ok: true } | { ok: false; answered: true; reason: string; message: string });

function judgeOf({ record, equals, contains }: DnsDefinition): (answers: string[]) => Verdict {
  const exactly = equals === undefined ? undefined : expectedOf(record, equals);
  const among = contains === undefined ? [] : expectedOf(record, contains);
  return (answers) => {
    const data = { answers: told(answers) };
    const missing = [...new Set([...compare(answers, exactly ?? []).added, ...compare(answers, among).added])];
    const unexpected = exactly === undefined ? [] : compare(exactly, answers).added;
    if (missing.length + unexpected.length === 0) return { ok: true, data };
    const message = `${missing.length} expected answers are missing, ${unexpected.length} are not expected`;
    return {
      ok: false,
      answered: true,
      reason: "answers",
      message,
      data: { ...data, missing: told(missing), unexpected: told(unexpected) },
    };
  };
}

function told(answers: readonly string[]): string[] {
  return answers.slice(0, answersToldMax).map((text) => text.slice(0, answerCharactersMax));
}
