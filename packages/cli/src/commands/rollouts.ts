/** `needfire rollouts`: what goes to many hosts, how far it is, and how to hold it. */
import { randomBytes } from "node:crypto";
import { type Command, Option } from "commander";
import type { RolloutView } from "@needfire/shared/api-rollouts";
import { formatDuration } from "@needfire/shared/duration";
import { rolloutStates } from "@needfire/shared/rollout";
import type { RolloutsFilter } from "../client.ts";
import { wholeNumber } from "../options.ts";
import { type Cell, type Column, msBetween, type Output, styled, styleOf } from "../output.ts";
import { examples, type Session } from "../session.ts";
import { counted, visible } from "../text.ts";
import { userName } from "../user.ts";

const columns: Column[] = [
  { title: "CREATED" },
  { title: "STATE" },
  { title: "REACTOR", shrinkTo: 12 },
  { title: "TARGETS", shrinkTo: 12 },
  { title: "BEGUN", align: "right" },
  { title: "FAILED", align: "right" },
  { title: "TOOK", align: "right" },
  { title: "ID" },
];
const hostColumns: Column[] = [
  { title: "#", align: "right" },
  { title: "WAVE", align: "right" },
  { title: "AGENT" },
  { title: "STATE" },
  { title: "TASK" },
  { title: "REASON", shrinkTo: 20 },
];

const exampleId = "r-9b1c44d07e2a51f3";

export function register(rollouts: Command, session: Session): void {
  rollouts.addHelpText(
    "after",
    examples(
      ["needfire rollouts list --state running", "what is under way"],
      [`needfire rollouts pause ${exampleId}`, "nothing more begins"],
      [`needfire rollouts retry ${exampleId}`, "once more where it failed"],
    ),
  );
  rollouts
    .command("list")
    .summary("list rollouts, newest first")
    .description(
      "List rollouts, newest first: each is one firing of a reactor with `targets`, or several that go together, for many hosts.",
    )
    .option("--reactor <glob>", "only of these reactors")
    .addOption(new Option("--state <state>", "only in this state").choices(rolloutStates))
    .option("-n, --limit <n>", "how many at most (default: 50)", wholeNumber(1, 10_000))
    .addHelpText(
      "after",
      examples(
        ["needfire rollouts list", "the newest 50"],
        ["needfire rollouts list --state stopped --json | jq -r .id", "what failed on too many hosts, for a program"],
      ),
    )
    .action(session.run((filter: RolloutsFilter) => list(session, filter)));
  rollouts
    .command("show")
    .summary("show one rollout with its hosts")
    .description(
      "Show one rollout: how far it is, why it stopped, and each of its hosts with the state of its task, in the order in which they begin.",
    )
    .argument("<id>", "the rollout's id, as `needfire rollouts list` prints it")
    .addHelpText(
      "after",
      examples(
        [`needfire rollouts show ${exampleId}`, "everything about one rollout"],
        [
          `needfire rollouts show ${exampleId} --json | jq -r '.members[] | select(.state == "escalated").agent'`,
          "the hosts on which it failed",
        ],
      ),
    )
    .action(session.run((id: string) => show(session, id)));
  for (const kind of ["pause", "resume", "cancel"] as const) {
    const { summary, description, why } = orders[kind];
    rollouts
      .command(kind)
      .summary(summary)
      .description(description)
      .argument("<id>", "the rollout's id, as `needfire rollouts list` prints it")
      .option("--why <text>", "the reason, for the record")
      .addHelpText(
        "after",
        examples(
          [`needfire rollouts ${kind} ${exampleId}`, summary],
          [`needfire rollouts ${kind} ${exampleId} --why '${why}'`, "and say why"],
        ),
      )
      .action(session.run((id: string, wish: { why?: string }) => order(session, kind, { id, ...wish })));
  }
  rollouts
    .command("retry")
    .summary("try a rollout once more on the hosts on which it failed")
    .description(
      "Try a rollout that has ended once more, on the hosts on which it failed or expired and no others: a new rollout, with the same limits, from the first wave on. What is done there is what was to be done there before. Where somebody had to approve it, somebody has to again. Prints its id. It can be done once: then the newer one can be retried, with its own hosts.",
    )
    .argument("<id>", "the rollout's id, as `needfire rollouts list` prints it")
    .option("--unresolved", "also on the hosts on which it never began, since it was stopped or cancelled, and those that were cancelled")
    .option("--dry-run", "show the hosts that it would go to, and do nothing")
    .option("--why <text>", "the reason, for the record")
    .addHelpText(
      "after",
      examples(
        [`needfire rollouts retry ${exampleId} --dry-run`, "where that would be"],
        [`needfire rollouts retry ${exampleId}`, "once more"],
        [`needfire rollouts retry ${exampleId} --unresolved`, "and go on where it was stopped"],
        [`needfire rollouts retry ${exampleId} --why 'the mirror is back'`, "and say why"],
      ),
    )
    .action(
      session.run((id: string, { dryRun = false, ...wish }: RetryWish & { dryRun?: boolean }) =>
        dryRun ? foresee(session, id, wish) : retry(session, id, wish),
      ),
    );
}

interface RetryWish {
  why?: string;
  unresolved?: boolean;
}

type OrderKind = "pause" | "resume" | "cancel";

const orders: Record<OrderKind, { summary: string; description: string; why: string; said: string }> = {
  pause: {
    summary: "let nothing more of a rollout begin for now",
    description: "Pause a rollout. Nothing more begins until it is resumed; the hosts that have begun go on.",
    why: "the load is high",
    said: "is paused",
  },
  resume: {
    summary: "let a rollout that is paused go on",
    description: "Resume a rollout that is paused: the next hosts begin.",
    why: "all is quiet",
    said: "goes on",
  },
  cancel: {
    summary: "end a rollout: nothing more begins, what is under way is cancelled",
    description:
      "Cancel a rollout. Nothing more begins, and the tasks that are under way are cancelled as `needfire tasks cancel` does it. What is done is done: nothing is undone.",
    why: "wrong version",
    said: "is cancelled",
  },
};

async function order({ out, master }: Session, kind: OrderKind, { id, why }: { id: string; why?: string }): Promise<void> {
  const rollout = await master.orderRollout(id, kind, { why, by: userName() });
  if (out.json) return out.record(rollout);
  out.line(`${visible(rollout.id)} ${orders[kind].said}: ${farText(rollout)}.`);
}

async function foresee({ out, master }: Session, id: string, { unresolved = false }: RetryWish): Promise<void> {
  const plan = await master.foreseeRetry(id, unresolved);
  if (out.json) return out.record(plan);
  const { hosts, left, asks } = plan;
  out.list(hosts, {
    columns: hostColumns.filter(({ title }) => title !== "WAVE"),
    row: ({ number, agent, state, task, reason }) => [String(number), agent, styled(state), taskCell(task), reason ?? ""],
    empty: "There is no host left on which it failed: it was tried again on each of them by itself.",
  });
  const rest = left === 0 ? "" : ` ${counted(left, "more host")}, where it never began or was cancelled, would be left out (--unresolved).`;
  out.notice(`A dry run: it would be tried once more on ${counted(hosts.length, "host")}.${rest}`);
  if (asks) out.notice("Somebody's word would be asked for first.");
}

async function retry({ out, master }: Session, id: string, { why, unresolved = false }: RetryWish): Promise<void> {
  const rollout = await master.retryRollout(id, { request: randomBytes(16).toString("hex"), why, by: userName(), unresolved });
  if (out.json) return out.record(rollout);
  out.line(
    `${visible(rollout.id)} tries it once more on ${counted(rollout.hosts, "host")} (needfire rollouts show ${visible(rollout.id)}).`,
  );
  if (rollout.asking !== undefined) out.line(`Somebody's word is waited for: needfire tasks approve ${visible(rollout.asking)}`);
}

async function list({ out, master }: Session, filter: RolloutsFilter): Promise<void> {
  const { rollouts } = await master.rollouts(filter);
  out.list(rollouts, {
    columns,
    row: (rollout) => [
      out.time(rollout.created),
      { text: rollout.state, style: styleOfRollout(rollout.state) },
      rollout.reactor,
      targetsText(rollout),
      `${rollout.begun}/${rollout.hosts}`,
      String(rollout.failed),
      took(rollout),
      { text: rollout.id, style: "dim" },
    ],
    empty: "No such rollout.",
  });
}

async function show({ out, master }: Session, id: string): Promise<void> {
  const rollout = await master.rollout(id);
  if (out.json) return out.record(rollout);
  out.title(`${rollout.reactor}  ${rollout.subject ?? ""}`.trimEnd());
  out.fields([
    ["id", rollout.id],
    ["state", rollout.state, styleOfRollout(rollout.state)],
    ["reason", rollout.reason],
    ["by", rollout.by],
    ["retry of", rollout.retry_of],
    ["ordered by", rollout.ordered_by],
    ["why", rollout.why],
    ["hosts", farText(rollout)],
    [
      "wave",
      rollout.waves.length > 1 ? `${rollout.wave} of ${rollout.waves.length}, which go up to ${rollout.waves.join(", ")} hosts` : undefined,
    ],
    ["at once", rollout.concurrent < rollout.hosts ? `${rollout.concurrent} hosts at most` : undefined],
    ["stops", rollout.stop_after === undefined ? undefined : `when it failed on ${rollout.stop_after}`],
    ["targets", targetsText(rollout)],
    ["left out", leftOutText(rollout)],
    ["asks", rollout.asking],
    ["joined", rollout.joined === 0 ? undefined : `${rollout.joined} firings`],
    ["event", `${rollout.event}${rollout.count > 1 ? `, one of ${rollout.count}` : ""}`],
    ["agent", rollout.agent],
    ["priority", rollout.priority, styleOf(rollout.priority)],
    ["reactor", `${rollout.reactor} (version ${rollout.reactor_version})${rollout.branch === "on_clear" ? ", on_clear" : ""}`],
    ["created", out.timeInFull(rollout.created)],
    ["took", took(rollout)],
  ]);
  out.line();
  showHosts(out, rollout);
}

function targetsText({ targets, combined }: RolloutView): string {
  return combined ? "combined firings" : targets;
}

function showHosts(out: Output, { members = [], combined }: RolloutView): void {
  out.list(members, {
    columns: combined ? hostColumns.toSpliced(3, 0, { title: "EVENT" }) : hostColumns,
    row: ({ number, wave, agent, event = "-", state, task, reason }) => [
      String(number),
      String(wave),
      agent,
      ...(combined ? [event] : []),
      styled(state),
      taskCell(task),
      reason ?? "",
    ],
    empty: "It has no hosts.",
  });
}

function taskCell(task: string | undefined): Cell {
  return task === undefined ? "-" : { text: task, style: "dim" };
}

/** An agent that is stopped is nothing bad; a rollout that is has failed. */
function styleOfRollout(state: RolloutView["state"]) {
  return state === "stopped" ? "red" : styleOf(state);
}

function farText({ hosts, begun, open, resolved, failed, cancelled, expired }: RolloutView): string {
  const of = [
    `${resolved} resolved`,
    `${failed} failed`,
    ...(expired > 0 ? [`${expired} expired`] : []),
    ...(cancelled > 0 ? [`${cancelled} cancelled`] : []),
    ...(open > 0 ? [`${open} under way`] : []),
  ];
  return `begun on ${begun} of ${hosts}: ${of.join(", ")}`;
}

function leftOutText({ left_out: count, left_out_hosts: hosts = [] }: RolloutView): string | undefined {
  if (count === undefined) return undefined;
  const more = count > hosts.length ? [`${count - hosts.length} more`] : [];
  return [...hosts.map(({ agent, reason }) => `${agent} (${reason})`), ...more].join(", ");
}

function took({ state, created, updated }: RolloutView): string {
  return state === "waiting" || state === "running" || state === "paused"
    ? "..."
    : formatDuration(Math.max(0, msBetween(created, updated)));
}
