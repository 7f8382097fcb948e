/** `needfire tasks`: what was done about what happened, and how it ended; and what people say and do about that. */
import { randomBytes } from "node:crypto";
import { type Command, Option } from "commander";
import { type ExecutionView, failedTaskStates, openTaskStates, taskStates, type TaskView } from "@needfire/shared/api";
import { formatDuration } from "@needfire/shared/duration";
import { idKind } from "@needfire/shared/ids";
import { NeedfireError } from "@needfire/shared/errors";
import type { TasksFilter } from "../client.ts";
import { watchTasks, type WatchFilter } from "../hand/tasks-watch.ts";
import { pointInTime, wholeNumber } from "../options.ts";
import { type Cell, type Column, labelsText, msBetween, type Output, styled, styleOf } from "../output.ts";
import { valueLines } from "../render.ts";
import { examples, exit, type Session } from "../session.ts";
import { visible } from "../text.ts";
import { userName } from "../user.ts";

const waitingColumns: Column[] = [
  { title: "CREATED" },
  { title: "REACTOR", shrinkTo: 12 },
  { title: "AGENT" },
  { title: "SUBJECT", shrinkTo: 12 },
  { title: "WAITS FOR", shrinkTo: 20 },
  { title: "UNTIL" },
  { title: "ID" },
];

const columns: Column[] = [
  { title: "CREATED" },
  { title: "STATE" },
  { title: "REACTOR", shrinkTo: 12 },
  { title: "AGENT" },
  { title: "SUBJECT", shrinkTo: 12 },
  { title: "TOOK", align: "right" },
  { title: "ID" },
];

/** Of one event: more than any order makes. */
const tasksMax = 10_000;

export function register(tasks: Command, session: Session): void {
  tasks.addHelpText(
    "after",
    examples(["needfire tasks list", "the newest"], ["needfire tasks show t-3f9a1c0b27d40000", "one, with what was run"]),
  );
  tasks
    .command("list")
    .summary("list tasks, newest first")
    .description("List tasks, newest first: each is one firing of a reactor.")
    .option("--agent <glob>", "only on these agents, such as 'web*'")
    .option("--reactor <glob>", "only of these reactors")
    .addOption(new Option("--state <state>", "only in this state").choices(taskStates))
    .option("--rollout <id>", "only of this rollout, as `needfire rollouts list` prints it")
    .option("--event <id>", "only those of this event, or of this order of a person's")
    .option("-n, --limit <n>", "how many at most (default: 50)", wholeNumber(1, 10_000))
    .addHelpText(
      "after",
      examples(
        ["needfire tasks list", "the newest 50"],
        ["needfire tasks list --state escalated", "what needs somebody"],
        ["needfire tasks list --state waiting", "what waits for somebody's word, and until when"],
        ["needfire tasks list --reactor 'restore-*' --agent web1 --json", "some, for a program"],
      ),
    )
    .action(session.run((filter: TasksFilter) => list(session, filter)));
  tasks
    .command("show")
    .summary("show one task with its executions")
    .description("Show one task: why it was made, what was run where, with which arguments and results, and how it ended.")
    .argument("<id>", "the task's id, as `needfire tasks list` prints it")
    .addHelpText(
      "after",
      examples(
        ["needfire tasks show t-3f9a1c0b27d40000", "everything about one task"],
        ["needfire tasks show t-3f9a1c0b27d40000 --json | jq .executions", "its executions for a program"],
      ),
    )
    .action(session.run((id: string) => show(session, id)));
  tasks
    .command("watch")
    .summary("follow what becomes of tasks")
    .description("Follow each step of tasks' lives until Ctrl-C (exit code 0). With --since, what has happened since then comes first.")
    .option("--agent <glob>", "only on these agents, such as 'web*'")
    .option("--reactor <glob>", "only of these reactors; those of people stand under 'by hand'")
    .option("--since <when>", "not before: 15m (ago), or a time", pointInTime)
    .addHelpText(
      "after",
      examples(
        ["needfire tasks watch", "all of them"],
        ["needfire tasks watch --reactor 'by hand' --since 10m", "what people ordered, since ten minutes ago"],
        ["needfire tasks watch --json | jq 'select(.type == \"task.escalated\")'", "in a script"],
      ),
    )
    .action(session.run((filter: WatchFilter) => watchTasks(session, filter)));
  tasks
    .command("cancel")
    .summary("end a task: nothing more of it is begun, what runs is ended")
    .description(
      "Cancel a task. What has not gone out never will; a host that has a command of it drops it, or ends it with all that it started. A command that is done is done: nothing is undone.",
    )
    .argument("<id...>", "tasks' ids, as `needfire tasks list` prints them; the id of an event or an order stands for all its open tasks")
    .option("--why <text>", "the reason, for the record")
    .addHelpText(
      "after",
      examples(
        ["needfire tasks cancel t-3f9a1c0b27d40000", "end it"],
        ["needfire tasks cancel t-3f9a1c0b27d40000 --why 'wrong window'", "and say why"],
      ),
    )
    .action(
      session.run((ids: string[], { why }: { why?: string }) => each(session, ids, { does: cancel, which: openOf, what: "is open" }, why)),
    );
  tasks
    .command("keep")
    .summary("let stay what a task did for a time: its undo is not done")
    .description(
      "Let stay what a task that is over did for a time. What is still to be taken back later is not, and a host that has the undo drops it; one that has begun it by then ends it.",
    )
    .argument("<id>", "the task's id, as `needfire tasks list` prints it")
    .option("--why <text>", "the reason, for the record")
    .addHelpText("after", examples(["needfire tasks keep t-3f9a1c0b27d40000 --why 'it is on the list now'", "and say why"]))
    .action(session.run((id: string, { why }: { why?: string }) => keep(session, id, why)));
  tasks
    .command("retry")
    .summary("try a task once more that did not do what it was for")
    .description(
      "Try a task once more that has ended and is not resolved: a new task for the same host, with the same steps, from the first rung on. Prints its id. What failed of a rollout as a whole: needfire rollouts retry.",
    )
    .argument("<id...>", "tasks' ids, as `needfire tasks list` prints them; the id of an order stands for those of its tasks that failed")
    .option("--dry-run", "the host says what the first rung would do, and changes nothing")
    .option("--why <text>", "the reason, for the record")
    .addHelpText(
      "after",
      examples(
        ["needfire tasks retry t-3f9a1c0b27d40000 --dry-run", "what it would do now"],
        ["needfire tasks retry t-3f9a1c0b27d40000", "once more"],
        ["needfire tasks retry t-3f9a1c0b27d40000 --why 'the disk has room again'", "and say why"],
        ["needfire tasks retry master:mi4k2x:7", "an order, on the hosts on which it failed"],
      ),
    )
    .action(
      session.run((ids: string[], { why, dryRun = false }: { why?: string; dryRun?: boolean }) =>
        each(session, ids, { does: dryRun ? foreseeRetry : retry, which: failedOf, what: "is left that failed" }, why),
      ),
    );
  tasks
    .command("comment")
    .summary("say something of a task")
    .description("Say something of a task, for whoever looks at it next: `needfire tasks show` has it, with who and when.")
    .argument("<id>", "the task's id, as `needfire tasks list` prints it")
    .argument("<text...>", "what there is to say")
    .addHelpText("after", examples(["needfire tasks comment t-3f9a1c0b27d40000 'the disk is full, see #12'", "for the next one"]))
    .action(session.run((id: string, words: string[]) => comment(session, id, words.join(" "))));
  for (const { answer, summary, description, why, said } of answers)
    tasks
      .command(answer)
      .summary(summary)
      .description(`${description} Counts when the task's reactor names you under approve.from, and nobody answered before.`)
      .argument("<id>", "the task's id, as `needfire tasks list --state waiting` prints it")
      .option("--why <text>", "the reason, for the record")
      .addHelpText("after", examples([`needfire tasks ${answer} t-3f9a1c0b27d40000 --why '${why}'`, "and say why"]))
      .action(
        session.run(async (id: string, wish: { why?: string }) => {
          const task = await session.master.answerTask(id, answer, { why: wish.why, by: userName() });
          if (session.out.json) session.out.record(task);
          else session.out.line(`${visible(task.id)} ${said}.`);
        }),
      );
}

async function retry({ out, master }: Session, id: string, why: string | undefined): Promise<void> {
  const task = await master.retryTask(id, { request: randomBytes(16).toString("hex"), why, by: userName() });
  if (out.json) return out.record(task);
  out.line(`${visible(task.id)} tries it once more on ${visible(task.agent)} (needfire tasks show ${visible(task.id)}).`);
}

async function foreseeRetry({ out, master }: Session, id: string, why: string | undefined): Promise<void> {
  const task = await master.retryTask(id, { request: randomBytes(16).toString("hex"), why, by: userName(), dry_run: true });
  if (out.json) return out.record(task);
  out.line(`${visible(task.id)} asks ${visible(task.agent)} what it would do (needfire tasks show ${visible(task.id)}).`);
}

async function keep({ out, master }: Session, id: string, why: string | undefined): Promise<void> {
  const task = await master.answerTask(id, "keep", { why, by: userName() });
  if (out.json) return out.record(task);
  out.line(`What ${visible(task.id)} did stays.`);
  if (task.undo_due.length > 0) out.notice(`${visible(task.agent)} has yet to say that it drops the undo.`);
}

async function comment({ out, master }: Session, id: string, text: string): Promise<void> {
  const said = await master.comment(id, { text, by: userName() });
  if (out.json) return out.record(said);
  out.line(`Noted (needfire tasks show ${visible(id)}).`);
}

/** `which`: of the tasks of an order or an event. */
interface Doing {
  does(session: Session, id: string, why: string | undefined): Promise<void>;
  which(session: Session, tasks: readonly TaskView[]): Promise<TaskView[]> | TaskView[];
  what: string;
}

function openOf(_session: Session, tasks: readonly TaskView[]): TaskView[] {
  return tasks.filter(({ state }) => openTaskStates.some((open) => open === state));
}

/** Not those that were tried again since, and are resolved, or still open. */
async function failedOf({ master }: Session, tasks: readonly TaskView[]): Promise<TaskView[]> {
  const reactors = [...new Set(tasks.map(({ reactor }) => reactor))];
  const since = await Promise.all(reactors.map((reactor) => master.tasks({ reactor, limit: tasksMax })));
  const hasFailed = ({ state }: TaskView) => failedTaskStates.some((each) => each === state);
  const again = since.flatMap((view) => view.tasks).filter((task) => !hasFailed(task) && task.state !== "cancelled");
  const settled = new Set(again.map((task) => task.retry_of));
  return tasks.filter((task) => hasFailed(task) && !settled.has(task.id));
}

/** One that it cannot be done to does not keep the others from it. */
async function each(session: Session, ids: readonly string[], doing: Doing, why: string | undefined): Promise<number> {
  let problem: unknown;
  for (const id of await tasksOf(session, ids, doing)) {
    try {
      await doing.does(session, id, why);
    } catch (error) {
      if (ids.length === 1 && id === ids[0]) throw error;
      if (!(error instanceof NeedfireError) || error.code === "MASTER_UNREACHABLE") throw error;
      session.out.notice(visible(error.message));
      problem = error;
    }
  }
  return problem === undefined ? exit.done : exit.failed;
}

async function tasksOf(session: Session, ids: readonly string[], { which, what }: Doing): Promise<string[]> {
  const { master, out } = session;
  const found: string[] = [];
  for (const id of ids) {
    if (idKind(id) !== "event") {
      found.push(id);
      continue;
    }
    const { tasks } = await master.tasks({ event: id, limit: tasksMax });
    const wanted = await which(session, tasks);
    if (wanted.length === 0) out.notice(`No task of ${visible(id)} ${what}.`);
    found.push(...wanted.map((task) => task.id));
  }
  return found;
}

const answers = [
  {
    answer: "approve",
    summary: "let a task begin that waits for your word",
    description: "Approve a task: it begins at once.",
    why: "checked with the shop",
    said: "is approved, and begins",
  },
  {
    answer: "deny",
    summary: "end a task that waits for your word",
    description: "Deny a task: it is cancelled, and nothing of it is sent.",
    why: "not before the weekend",
    said: "is denied: it is cancelled",
  },
] as const;

async function cancel({ out, master }: Session, id: string, why: string | undefined): Promise<void> {
  const task = await master.cancelTask(id, { why, by: userName() });
  if (out.json) return out.record(task);
  const open = task.executions.filter(({ ended }) => ended === undefined);
  out.line(`${visible(task.id)} is cancelled.`);
  for (const { agent, action } of open) out.notice(`${visible(agent)} has yet to say what became of ${visible(action)}.`);
}

async function list({ out, master }: Session, filter: TasksFilter): Promise<void> {
  const { tasks } = await master.tasks(filter);
  if (filter.state === "waiting")
    return out.list(tasks, { columns: waitingColumns, row: (task) => waitingRow(out, task), empty: "Nothing waits for anybody." });
  out.list(tasks, {
    columns,
    row: (task) => [
      out.time(task.created),
      styled(task.state),
      task.reactor,
      task.agent,
      task.subject ?? "-",
      took(task),
      { text: task.id, style: "dim" },
    ],
    empty: "No such task.",
  });
}

function waitingRow(out: Output, task: TaskView): Cell[] {
  return [
    out.time(task.created),
    task.reactor,
    task.agent,
    task.subject ?? "-",
    task.waits_for ?? "-",
    out.time(task.due),
    { text: task.id, style: "dim" },
  ];
}

async function show({ out, master }: Session, id: string): Promise<void> {
  const task = await master.task(id);
  if (out.json) return out.record(task);
  out.title(`${task.reactor}  ${task.subject ?? ""}`.trimEnd());
  out.fields([
    ["id", task.id],
    ["state", `${task.state}${task.verified === true ? ", verified" : ""}`, styleOf(task.state)],
    ["reason", task.reason],
    ["cancelled by", task.cancelled_by],
    ["ordered by", task.ordered_by],
    ["why", task.why],
    ["dry run", task.dry_run === true ? "hosts say what they would do, and change nothing" : undefined],
    ["retry of", task.retry_of],
    ["rung", isLadder(task) ? placeText(task) : undefined],
    [
      "waits for",
      task.waits_for === undefined ? undefined : `${task.waits_for}${task.due === undefined ? "" : `, until ${out.timeInFull(task.due)}`}`,
    ],
    ["asked", task.approval?.message],
    ["without it", task.approval === undefined ? undefined : timeoutTexts[task.approval.on_timeout]],
    ["approved", task.approved === undefined ? undefined : approvedText(out, task.approved)],
    ["undo", task.undo_due.length === 0 ? undefined : task.undo_due.map((each) => undoText(out, each)).join("; ")],
    ["taken over", task.taken_over?.map(({ rung, by, at }) => `undo of rung ${rung} by ${by} at ${out.timeInFull(at)}`).join("; ")],
    ["takes over", task.took_over === undefined ? undefined : `the undo of ${task.took_over.join(", ")}`],
    ["kept", task.kept === undefined ? undefined : approvedText(out, task.kept)],
    ["joined", task.joined === 0 ? undefined : `${task.joined} firings`],
    ["event", `${task.event}${task.count > 1 ? `, the last of ${task.count}` : ""}`],
    ["key", task.key.length === 0 ? undefined : JSON.stringify(task.key)],
    ["agent", task.agent],
    ["rollout", task.rollout],
    ["priority", task.priority, styleOf(task.priority)],
    ["owner", task.owner],
    ["labels", Object.keys(task.labels).length === 0 ? undefined : labelsText(task.labels)],
    ["runbook", task.runbook],
    [
      "reactor",
      task.reactor === "by hand"
        ? undefined
        : `${task.reactor} (version ${task.reactor_version})${task.branch === "on_clear" ? ", on_clear" : ""}`,
    ],
    ["created", out.timeInFull(task.created)],
    ["took", took(task)],
  ]);
  if (isLadder(task)) showLadder(out, task);
  for (const execution of task.executions) showExecution(out, execution, isLadder(task));
  for (const step of task.steps.slice(begun(task))) showStep(out, step, notBegun(task.state));
  if (task.comments.length > 0) out.line();
  for (const { at, by, text } of task.comments)
    out.line(`${out.paint("bold", visible(by))}  ${out.paint("dim", out.time(at))}  ${visible(text)}`);
}

const timeoutTexts: Record<NonNullable<TaskView["approval"]>["on_timeout"], string> = {
  escalate: "it escalates",
  cancel: "it is cancelled",
  proceed: "it begins all the same",
};

function approvedText(out: Output, { by, at, why }: NonNullable<TaskView["approved"]>): string {
  return `by ${by} at ${out.timeInFull(at)}${why === undefined ? "" : `: ${why}`}`;
}

/** More than a list of actions. */
function isLadder({ rungs, otherwise }: TaskView): boolean {
  const [first] = rungs;
  return rungs.length > 1 || otherwise.length > 0 || (first !== undefined && (first.attempts > 1 || Object.keys(first).length > 2));
}

function placeText({ rung, rungs, attempt, attempts }: TaskView): string {
  const here = rungs[rung - 1]?.attempts ?? 1;
  return `${rung} of ${rungs.length}, attempt ${attempt} of ${here}${attempts > attempt ? `, ${attempts} attempts in all` : ""}`;
}

function undoText(out: Output, { rung, due, by, unheard, why, given_up_for: heir }: TaskView["undo_due"][number]): string {
  if (heir !== undefined) return `of rung ${rung} is given up for that of ${heir}`;
  if (unheard === true) return `of rung ${rung} when it is over${by === "host" ? ", or when the host hears nothing more of it" : ""}`;
  if (due === undefined) return `of rung ${rung} is under way`;
  return `of rung ${rung} at ${out.timeInFull(due)}${by === undefined ? "" : `, ${undoneBy[by]}`}${why === undefined ? "" : ` (${why})`}`;
}

const undoneBy: Record<NonNullable<TaskView["undo_due"][number]["by"]>, string> = {
  host: "leased to the host, which does it by itself",
  master: "sent by the master",
};

function showLadder(out: Output, { rungs, otherwise, history }: TaskView): void {
  out.line();
  for (const [index, { steps, attempts, timeout, verify, undo }] of rungs.entries()) {
    const more = [
      attempts > 1 ? `${attempts} attempts` : undefined,
      timeout === undefined ? undefined : `at most ${timeout}`,
      verify === undefined ? undefined : `verified by ${verify}`,
      undo === undefined ? undefined : `undone by ${undo}`,
    ].filter((text) => text !== undefined);
    const acts = steps.map(({ action }) => action).join(", ");
    out.line(
      `${out.paint("bold", `rung ${index + 1}`)}  ${visible(acts)}${more.length === 0 ? "" : out.paint("dim", `  ${visible(more.join("; "))}`)}`,
    );
    for (const each of history.filter(({ rung }) => rung === index + 1))
      out.line(`  attempt ${each.attempt} failed ${out.time(each.at)}: ${visible(each.reason)}`);
  }
  if (otherwise.length > 0) out.line(`${out.paint("bold", "otherwise")}  ${visible(otherwise.join(", "))}`);
}

/** How many of its steps this attempt has begun: verifications are no steps. */
function begun(task: TaskView): number {
  const { executions, rung, attempt } = task;
  return executions.filter((each) => each.purpose === "do" && each.rung === rung && each.attempt === attempt).length;
}

function notBegun(state: TaskView["state"]): string {
  if (state === "planned") return "would be run";
  if (state === "waiting") return "was not begun yet";
  if (state === "retrying") return "waits for the next attempt";
  return state === "running" ? "waits for the one before" : "was not begun";
}

function showStep(out: Output, { action, args }: TaskView["steps"][number], how: string): void {
  out.line();
  out.line(`${out.paint("bold", visible(action))}  ${out.paint("dim", how)}`);
  showValues(out, "arguments", args);
}

const purposeTexts: Record<ExecutionView["purpose"], string> = {
  do: "",
  verify: "verification, ",
  undo: "undo, ",
  otherwise: "otherwise, ",
};

function showExecution(out: Output, execution: ExecutionView, isOfLadder: boolean): void {
  const { id, action, purpose, state, changed, started, ended, message, args, result } = execution;
  out.line();
  const { rung, attempt } = execution;
  const where = isOfLadder && rung !== undefined && purpose !== "otherwise" ? `rung ${rung}, attempt ${attempt ?? 1}, ` : "";
  const did = changed === true ? ", changed something" : "";
  out.line(
    `${out.paint("bold", visible(action))}  ${out.paint(styleOf(state), state)}${did}  ${out.paint("dim", `${purposeTexts[purpose]}${where}${visible(id)}`)}`,
  );
  out.fields([
    ["agent", execution.agent],
    ["waits for", execution.waits_for],
    ["sent", out.timeInFull(execution.sent)],
    ["ran for", started === undefined || ended === undefined ? undefined : formatDuration(Math.max(0, msBetween(started, ended)))],
    ["message", message],
  ]);
  showValues(out, "arguments", args);
  showValues(out, "result", result);
}

function showValues(out: Output, name: string, value: Record<string, unknown> | undefined): void {
  if (value === undefined || Object.keys(value).length === 0) return;
  out.line(`  ${out.paint("dim", name)}`);
  for (const line of valueLines(out, value)) out.line(`    ${line}`);
}

function took(task: TaskView): string {
  return openTaskStates.some((state) => state === task.state) ? "..." : formatDuration(Math.max(0, msBetween(task.created, task.updated)));
}
