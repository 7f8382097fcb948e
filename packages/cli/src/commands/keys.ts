/** `needfire keys`: which agents may speak. A key is the identity; fingerprints are shown so that people can compare them. */
import type { Command } from "commander";
import type { KeyView, TokenView } from "@needfire/shared/api";
import { formatDuration } from "@needfire/shared/duration";
import { duration, label, wholeNumber } from "../options.ts";
import { type Column, labelsText, styled } from "../output.ts";
import { examples, type Session } from "../session.ts";
import { visible } from "../text.ts";
import { userName } from "../user.ts";

const columns: Column[] = [
  { title: "AGENT" },
  { title: "STATE" },
  { title: "FINGERPRINT" },
  { title: "LABELS", shrinkTo: 10 },
  { title: "SINCE" },
  { title: "BY" },
];

export function register(keys: Command, session: Session): void {
  keys.addHelpText(
    "after",
    examples(
      ["needfire keys list", "who is in, and who waits"],
      ["needfire keys accept web1", "let one in"],
      ["needfire keys token create", "a join string that lets one in by itself"],
    ),
  );
  keys
    .command("list")
    .summary("list the keys of all agents")
    .description("List the keys of all agents, with the master's own fingerprint above them.")
    .addHelpText(
      "after",
      examples(["needfire keys list", "all keys"], ["needfire keys list --json | jq -r 'select(.state==\"pending\").id'", "who waits"]),
    )
    .action(session.run(() => list(session)));
  decision(keys, session, { verb: "accept", does: "let an agent in", example: "compare the fingerprint first" });
  decision(keys, session, {
    verb: "reject",
    does: "turn a waiting key away (accept takes it back)",
    example: "it does not get further than the door",
  });
  decision(keys, session, { verb: "revoke", does: "throw an accepted agent out, for good", example: "its connection ends now" });
  tokens(
    keys
      .command("token")
      .summary("tokens that let new agents in")
      .description("Tokens that let new agents in without anybody's accepting them."),
    session,
  );
}

async function list({ out, master }: Session): Promise<void> {
  const view = await master.keys();
  if (!out.json) {
    out.fields([
      ["master", view.fingerprint],
      ["enrolment", view.enrolment],
    ]);
    out.line();
  }
  out.list(view.keys, {
    columns,
    row: ({ id, state, fingerprint, labels, changed, by }) => [id, styled(state), fingerprint, labelsText(labels), out.time(changed), by],
    empty: `No agent has shown a key yet. Join one: needfire agent join '${visible(view.join_string)}'`,
  });
}

function decision(
  keys: Command,
  session: Session,
  { verb, does, example }: { verb: "accept" | "reject" | "revoke"; does: string; example: string },
): void {
  keys
    .command(verb)
    .summary(does)
    .description(`${does[0]!.toUpperCase()}${does.slice(1)}.`)
    .argument("<key...>", "an agent's id, or the beginning of a fingerprint")
    .addHelpText(
      "after",
      examples(
        [`needfire keys ${verb} web1`, example],
        [`needfire keys ${verb} 3f9a-1c0b`, "by fingerprint: sure to be the key that you looked at"],
      ),
    )
    .action(
      session.run(async (names: string[]) => {
        for (const name of names) tell(session, await session.master.decideKey(name, verb, userName()));
      }),
    );
}

function tell({ out }: Session, key: KeyView): void {
  if (out.json) out.record(key);
  else out.line(`${visible(key.id)} is ${out.paint(key.state === "accepted" ? "green" : "red", key.state)} (${visible(key.fingerprint)})`);
}

function tokens(token: Command, session: Session): void {
  token
    .helpCommand(false)
    .addHelpText("after", examples(["needfire keys token create", "for one host, for a day"]))
    .command("create")
    .summary("make a join string with a token")
    .description("Make a join string with a token in it: whoever has it can join, so give it only to the host it is for.")
    .option("--uses <n>", "how many agents can join with it (default: 1)", wholeNumber(1, 100_000))
    .option("--ttl <duration>", "how long it can be used (default: 24h)", duration)
    .option("--label <key=value>", "a label of those who join with it; may be repeated", label)
    .addHelpText(
      "after",
      examples(
        ["needfire keys token create", "for one host, for a day"],
        ["needfire keys token create --uses 50 --ttl 1h --label role=web", "for a rack of web servers"],
        ["needfire keys token create --json | jq -r .join_string", "in a script"],
      ),
    )
    .action(
      session.run(async ({ uses, ttl, label: labels }: { uses?: number; ttl?: number; label?: Record<string, string> }) => {
        const view = await session.master.createToken({ uses, ttl_ms: ttl, labels, by: userName() });
        tellToken(session, view);
      }),
    );
}

function tellToken({ out }: Session, view: TokenView): void {
  if (out.json) return out.record(view);
  const left = formatDuration(Math.max(0, Date.parse(view.expires) - out.now()));
  out.line(`Run this on the host (${view.uses === 1 ? "once" : `on up to ${view.uses} hosts`}, within ${left}):`);
  out.line();
  // Quoted: to some shells the question mark is a wildcard.
  out.line(`  needfire agent join '${visible(view.join_string)}'`);
  out.line();
  out.fields([
    ["master", view.fingerprint],
    ["expires", out.time(view.expires)],
    ["labels", Object.keys(view.labels).length === 0 ? undefined : labelsText(view.labels)],
  ]);
}
