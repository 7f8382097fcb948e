/** The master's own events. Nobody else can claim their types: their prefixes are reserved (event.ts). */
import { severities } from "../event.ts";
import { rolloutEventTypes } from "./rollouts.ts";
import { type EventTypeSpec, object } from "./spec.ts";

const text = { type: "string" } as const;
const integer = { type: "integer" } as const;
const agent = { type: "string", description: "the agent's id" } as const;
const reason = { type: "string", description: "for people" } as const;
const who = { type: "string", description: "who, and from where" } as const;
const milliseconds = { type: "number", description: "ms since the epoch" } as const;
const labels = { type: "object", additionalProperties: { type: "string" } } as const;
const isoTime = { type: "string", description: "RFC 3339" } as const;

const agentExample = (data: object = {}) => ({ subject: "web1", data: { agent: "web1", ...data } });

const keyData = object({
  agent,
  fingerprint: { type: "string", description: "of the public key" },
  by: { type: "string", description: "what decided: token, hello; or who did, and from where" },
  labels,
});
const keyExample = (by: string) => agentExample({ fingerprint: "9f1c-22ab-07d4-5e10", by, labels: { role: "web" } });

const aboutTask = {
  task: text,
  reactor: { type: "string", description: "its name" },
  reactor_version: text,
  agent: { type: "string", description: "the agent that it is for" },
} as const;
const names = { type: "array", items: { type: "string" }, description: "names of those who may answer" } as const;
const breakerKey = { type: "array", description: "the task's key, or else its agent and subject" } as const;
const answer = object({ ...aboutTask, by: { type: "string", description: "who" }, why: reason }, [...Object.keys(aboutTask), "by"]);
const onLadder = {
  rung: { type: "integer", description: "of the ladder, from 1" },
  rungs: { type: "integer", description: "how many there are" },
  attempt: { type: "integer", description: "on this rung, from 1" },
  attempts: { type: "integer", description: "how many this rung has" },
} as const;
const took_ms = { type: "number", description: "since the task was made" } as const;
const someTask = { task: "t-3f9a1c0b27d40000", reactor: "restore-managed-file", reactor_version: "5d1e0a9c44b7", agent: "web1" };
const placeExample = { rung: 1, rungs: 2, attempt: 2, attempts: 3 };
const taskExample = (data: object) => ({ subject: "/etc/ssh/sshd_config", data: { ...someTask, ...data } });

const problem = object({ file: text, line: integer, column: integer, message: text });
const definitionFile = object({ file: text });
const fileExample = (file: string, data: object = {}) => ({ subject: file, data: { file, ...data } });
const refusal = (file: string) => fileExample(file, { line: 4, column: 1, message: 'unknown key "whne"; did you mean "when"?' });

const silence = object(
  {
    silence: { type: "string", description: "its id" },
    reactor: { type: "string", description: "a name or a glob" },
    agent: { type: "string", description: "an id or a glob" },
    until: milliseconds,
    why: reason,
    by: { type: "string", description: "who: of a silence that was removed, who removed it" },
    held: { type: "integer", description: "firings that it has held back" },
  },
  ["silence", "until", "why", "by"],
);
const silenceExample = {
  subject: "s-1",
  data: { silence: "s-1", reactor: "ssh-bruteforce", agent: "web*", until: 1_767_232_800_000, why: "load test", by: "cli" },
};

export const masterEventTypes = {
  "agent.connected": {
    description: "An agent has a session.",
    severity: "low",
    data: object({ agent }),
    example: agentExample(),
  },
  "agent.disconnected": {
    description: "An agent's session ended. It is lost only when it does not come back in time.",
    severity: "normal",
    data: object({ agent, reason }),
    example: agentExample({ reason: "the connection is gone" }),
  },
  "agent.lost": {
    description: "An agent that did not say goodbye has been away for three heartbeats.",
    severity: "high",
    data: object({ agent, last_heard: milliseconds, reason }),
    example: agentExample({ last_heard: 1_767_225_600_000, reason: "silent" }),
  },
  "agent.maintenance": {
    description: "Somebody works on a host: it is watched, and no reactor acts on what it says, until then.",
    severity: "normal",
    data: object({ agent, until: milliseconds, why: { type: "string" }, by: { type: "string" } }),
    example: agentExample({ until: 1_767_232_800_000, why: "a new disk", by: "ann" }),
  },
  "agent.maintenance_ended": {
    description: "Nobody works on a host any more: its beacons say once more what is not as it should be.",
    severity: "normal",
    data: object({ agent, lasted_ms: { type: "integer" }, by: { type: "string", description: "who ended it before its time" } }, [
      "agent",
      "lasted_ms",
    ]),
    example: agentExample({ lasted_ms: 7_200_000 }),
  },
  "agent.returned": {
    description: "A lost agent is back.",
    severity: "normal",
    data: object({ agent, away_ms: { type: "number" }, spooled: { type: "integer", description: "events that wait there" } }),
    example: agentExample({ away_ms: 92_000, spooled: 14 }),
  },
  "agent.cloned": {
    description: "Two machines use one key and one state, and take the session from each other.",
    severity: "high",
    data: object({ agent, reason }),
    example: agentExample({ reason: "two machines use this agent's key and state" }),
  },
  "agent.renumbered": {
    description:
      "An agent began so many numberings of its events that the oldest were forgotten: were their events sent again, they would be taken again.",
    severity: "high",
    data: object({
      agent,
      forgotten: { type: "integer", description: "numberings" },
      kept: { type: "integer", description: "those used last" },
    }),
    example: agentExample({ forgotten: 3, kept: 8 }),
  },
  "agent.overfull": {
    description: "What is meant for an agent is more than one message may carry.",
    severity: "high",
    data: object({ agent, reason }),
    example: agentExample({ reason: "the definitions for this agent are too large" }),
  },
  "agent.gap": {
    description: "Events of an agent are missing for good: it sends what comes after them.",
    severity: "high",
    data: object({
      agent,
      epoch: { type: "string", description: "the agent's numbering" },
      lane: { enum: severities },
      after: { type: "integer", description: "the last number that is here" },
      until: { type: "integer", description: "the last number that is missing" },
    }),
    example: agentExample({ epoch: "mi4k2x", lane: "low", after: 120, until: 480 }),
  },
  "event.rejected": {
    description: "What an agent sent as an event is not one, or is not its to say.",
    severity: "normal",
    data: object({ agent, reason }, ["reason"]),
    example: agentExample({ reason: "the type task.created is the master's own" }),
  },
  "keys.pending": { description: "A new key waits for an operator.", severity: "high", data: keyData, example: keyExample("hello") },
  "keys.accepted": { description: "A key was let in.", severity: "normal", data: keyData, example: keyExample("cli") },
  "keys.rejected": { description: "A waiting key was turned away.", severity: "high", data: keyData, example: keyExample("cli") },
  "keys.revoked": { description: "An accepted key was shut out.", severity: "high", data: keyData, example: keyExample("cli") },
  "keys.token_created": {
    description: "An operator made a join token.",
    severity: "normal",
    data: object({ uses: integer, expires: milliseconds, labels, by: who }),
    example: { data: { uses: 10, expires: 1_767_229_200_000, labels: { role: "web" }, by: "ann on pts/0" } },
  },
  "task.created": {
    description: "A reactor fired.",
    severity: "low",
    data: object(
      {
        ...aboutTask,
        event: { type: "string", description: "the id of the event that it fired on" },
        count: { type: "integer", description: "how many events went in" },
        branch: { enum: ["do", "on_clear"], description: "on_clear: a problem is over" },
        actions: { type: "array", items: { type: "string" } },
        rollout: { type: "string", description: "that it is part of" },
      },
      [...Object.keys(aboutTask), "event", "count", "branch", "actions"],
    ),
    example: taskExample({ event: "web1:mi4k2x:42", count: 1, branch: "do", actions: ["file.restore"] }),
  },
  "task.waiting": {
    description:
      "A task begins when somebody says so (needfire tasks approve, or deny: `from`, `until`), or when its lock is free and it is its turn (`lock`, `behind`).",
    severity: "normal",
    data: object(
      {
        ...aboutTask,
        from: names,
        until: milliseconds,
        message: { type: "string", description: "what they are asked" },
        lock: { type: "array", description: "the lock's values" },
        behind: { type: "string", description: "the task that has it, or is next" },
      },
      Object.keys(aboutTask),
    ),
    example: taskExample({ from: ["ann", "bob"], until: 1_767_227_400_000, message: "restart the database of web1?" }),
  },
  "task.approved": {
    description: "A task that waited for somebody's word begins; by `master` when its reactor says to go on without one.",
    severity: "low",
    data: answer,
    example: taskExample({ by: "ann", why: "checked with the shop" }),
  },
  "task.denied": {
    description: "Somebody said no: the task is cancelled, nothing of it was sent.",
    severity: "normal",
    data: answer,
    example: taskExample({ by: "ann", why: "not before the weekend" }),
  },
  "task.ordered": {
    description:
      "A person wants something done by hand: a task is made for each of the agents, by the name `by hand` where a reactor's would stand.",
    severity: "normal",
    data: object(
      {
        request: { type: "string", description: "the caller's own name for it: what has the same one is done once" },
        by: who,
        why: reason,
        targets: { description: "as it was written: a glob, a list of globs, or CEL" },
        agents: { type: "array", items: text, description: "whom that meant" },
        action: text,
        args: { type: "object" },
        dry_run: { type: "boolean", description: "hosts say what they would do, and change nothing" },
        priority: { enum: severities },
        timeout_ms: { type: "integer", description: "how long each host has, the wait for it included" },
      },
      ["request", "by", "targets", "agents", "action", "args", "dry_run", "priority", "timeout_ms"],
    ),
    example: {
      subject: "uptime",
      data: {
        ...{ request: "b1c9e7d2a4f60358", by: "ann from 10.1.2.3", why: "it feels slow", targets: "web*", agents: ["web1", "web2"] },
        ...{ action: "command.run", args: { argv: ["uptime"] }, dry_run: false, priority: "normal", timeout_ms: 60_000 },
      },
    },
  },
  "task.retried": {
    description: "A person wants a task that has ended tried once more: a new task is made like it. The event's cause is the old one.",
    severity: "normal",
    data: object(
      {
        ...{ task: aboutTask.task, reactor: aboutTask.reactor, agent: aboutTask.agent, request: text, by: who, why: reason },
        dry_run: { type: "boolean", description: "the host says what the first rung would do, and changes nothing" },
      },
      ["task", "reactor", "agent", "request", "by"],
    ),
    example: {
      subject: "/etc/ssh/sshd_config",
      data: { task: "t-3f9a1c0b27d40000", reactor: "restore-managed-file", agent: "web1", request: "b1c9e7d2a4f60358", by: "ann on pts/0" },
    },
  },
  "task.planned": {
    description: "A reactor in mode plan fired: what it would do can be seen, and nothing is sent.",
    severity: "low",
    data: object({ ...aboutTask, actions: { type: "array", items: { type: "string" } }, reason }, [...Object.keys(aboutTask), "actions"]),
    example: taskExample({ actions: ["file.restore"] }),
  },
  "task.verifying": {
    description: "All steps of a task succeeded; now it is confirmed that they held.",
    severity: "low",
    data: object({ ...aboutTask, action: { type: "string", description: "what confirms it: an action, or `event`, or `no_event`" } }),
    example: taskExample({ action: "file.check" }),
  },
  "task.attempt": {
    description: "A further attempt of a task begins: its first one has no event of its own.",
    severity: "low",
    data: object({ ...aboutTask, ...onLadder }),
    example: taskExample(placeExample),
  },
  "task.retrying": {
    description: "An attempt of a task failed; the next one on the same rung waits for its time.",
    severity: "low",
    data: object({ ...aboutTask, ...onLadder, reason, until: milliseconds }),
    example: taskExample({ ...placeExample, attempt: 1, reason: "service.reload failed: exit code 1", until: 1_767_225_605_000 }),
  },
  "task.rung": {
    description: "A rung of a task's ladder failed, and the next one is tried.",
    severity: "low",
    data: object({ ...aboutTask, rung: { ...onLadder.rung, description: "the next one, from 1" }, rungs: onLadder.rungs, reason }),
    example: taskExample({ rung: 2, rungs: 2, reason: "verification command.run failed: exit code 1" }),
  },
  "task.leased": {
    description: "The host has what is to be taken back of a rung, and does it in time by itself, although the master be away then.",
    severity: "low",
    data: object({
      ...aboutTask,
      rung: onLadder.rung,
      steps: { ...integer, description: "of the undo, from the first on, that the host has" },
      due: milliseconds,
    }),
    example: taskExample({ rung: 1, steps: 1, due: 1_767_229_200_000 }),
  },
  "task.lease_refused": {
    description: "The host cannot have beforehand what is to be taken back of a rung: the master sends it in time, if it is there then.",
    severity: "normal",
    data: object({ ...aboutTask, rung: onLadder.rung, reason }),
    example: taskExample({ rung: 1, reason: 'policy: deny.actions "firewall.*" forbids firewall.unblock' }),
  },
  "task.undo_dropped": {
    description: "What a rung of a task did for a time stays: a person wanted it so.",
    severity: "normal",
    data: object({ ...aboutTask, rung: onLadder.rung, by: who, why: reason }, [...Object.keys(aboutTask), "rung", "by"]),
    example: taskExample({ rung: 1, by: "ann", why: "it is on the list now" }),
  },
  "task.undo_taken_over": {
    description:
      "What a rung of a task did for a time is taken back by a later task with the same key, at that one's time, and not by this one.",
    severity: "low",
    data: object({ ...aboutTask, rung: onLadder.rung, taken_by: { type: "string", description: "that task" } }),
    example: taskExample({ rung: 1, taken_by: "t-9f1c2b3a4d5e6f70" }),
  },
  "task.undone": {
    description: "What a rung of a task had done was taken back.",
    severity: "low",
    data: object({ ...aboutTask, rung: onLadder.rung }),
    example: taskExample({ rung: 1 }),
  },
  "task.undo_failed": {
    description: "What a rung of a task had done could not be taken back: that is not tried again.",
    severity: "high",
    data: object({ ...aboutTask, rung: onLadder.rung, reason }),
    example: taskExample({ rung: 1, reason: "undo command.run failed: exit code 1" }),
  },
  "task.otherwise_failed": {
    description: "A task has escalated, and an action of `otherwise` could not be done.",
    severity: "high",
    data: object({ ...aboutTask, action: text, reason }),
    example: taskExample({ action: "command.run", reason: "command.run failed: exit code 1" }),
  },
  "task.resolved": {
    description: "A task ended well.",
    severity: "low",
    data: object({ ...aboutTask, verified: { type: "boolean", description: "whether it was confirmed" }, attempts: integer, took_ms }),
    example: taskExample({ verified: true, attempts: 1, took_ms: 84 }),
  },
  "task.escalated": {
    description: "A task did not do what it was for: a person must look.",
    severity: "high",
    data: object({ ...aboutTask, reason, attempts: integer, took_ms }),
    example: taskExample({ reason: "file.restore failed: ENOSPC: no space left on device", attempts: 1, took_ms: 61 }),
  },
  "task.expired": {
    description:
      "Nothing of a task was begun in its time: its host was away, or its turn came too late. What its reactor says under `otherwise` is done.",
    severity: "normal",
    data: object({ ...aboutTask, reason, took_ms }),
    example: taskExample({ reason: "web1 was not there within the time of file.restore", took_ms: 3_600_040 }),
  },
  "task.comment": {
    description: "Somebody, or a step of its own, wrote a comment into a task's history.",
    severity: "low",
    data: object({ ...aboutTask, by: { ...who, description: "a person, and from where" }, text: { type: "string" } }, [
      ...Object.keys(aboutTask),
      "text",
    ]),
    example: taskExample({ text: "nginx is restarted, since a reload did not help" }),
  },
  "task.cancelled": {
    description: "A task was cancelled: nothing more of it is started.",
    severity: "low",
    data: object({ ...aboutTask, reason, by: text, took_ms }),
    example: taskExample({ reason: "not needed any more", by: "cli", took_ms: 1_200 }),
  },
  "master.reloaded": {
    description: "A person had the master read its reactors, beacons and files again.",
    severity: "normal",
    data: object({ by: who, problems: { type: "integer", description: "what is wrong in them" } }),
    example: { data: { by: "ann from 10.1.2.3", problems: 0 } },
  },
  "breaker.tripped": {
    description:
      "A remedy did not hold, and is not tried any more for this key, or, without a key, for any of its reactor, until a person resets it: needfire breakers reset.",
    severity: "high",
    data: object({ ...aboutTask, key: breakerKey, why: reason, tasks: { type: "array", items: text, description: "that did not hold" } }, [
      ...Object.keys(aboutTask),
      "why",
      "tasks",
    ]),
    example: taskExample({
      key: ["web1", "/etc/ssh/sshd_config"],
      why: "the remedy did not hold: 3 tasks for this key within 1 h; the last one was verified, and the problem came back",
      tasks: ["t-1f9a1c0b27d40000", "t-2f9a1c0b27d40000", "t-3f9a1c0b27d40001"],
    }),
  },
  "breaker.reset": {
    description: "A person let a remedy be tried again: for a key, or, without one, for all of its reactor.",
    severity: "normal",
    data: object(
      {
        reactor: text,
        key: breakerKey,
        held: { type: "integer", description: "firings that made no task meanwhile" },
        by: text,
        why: reason,
      },
      ["reactor", "held", "by"],
    ),
    example: {
      subject: "restore-managed-file",
      data: { reactor: "restore-managed-file", key: ["web1", "/etc/motd"], held: 12, by: "ann" },
    },
  },
  "breaker.keys_full": {
    description: "More keys of a reactor did not hold than are remembered: the breaker of those that were struck longest ago begins anew.",
    severity: "high",
    data: object({ reactor: text, keys_max: integer, dropped: { type: "integer", description: "keys, since it was told last" } }),
    example: { subject: "restore-managed-file", data: { reactor: "restore-managed-file", keys_max: 10_000, dropped: 12 } },
  },
  "reactor.loaded": {
    description: "A file of reactors is in force.",
    severity: "low",
    data: definitionFile,
    example: fileExample("/etc/needfire/reactors/web.yaml"),
  },
  "reactor.refused": {
    description: "A file of reactors has a problem: what was in force of it stays. One event for each problem.",
    severity: "high",
    data: problem,
    example: refusal("/etc/needfire/reactors/web.yaml"),
  },
  "router.loaded": {
    description: "The router's rules are in force.",
    severity: "low",
    data: definitionFile,
    example: fileExample("/etc/needfire/router.yaml"),
  },
  "router.refused": {
    description: "The router's file has a problem: the rules that were in force stay. One event for each problem.",
    severity: "high",
    data: problem,
    example: refusal("/etc/needfire/router.yaml"),
  },
  "reactor.rolled_back": {
    description: "A file of reactors was put back to an earlier version.",
    severity: "normal",
    data: object({ reactor: text, file: text, from: { type: "string", description: "the version before" }, to: text, by: text }),
    example: {
      subject: "ssh-bruteforce",
      data: { reactor: "ssh-bruteforce", file: "/etc/needfire/reactors/ssh.yaml", from: "5d1e0a9c44b7", to: "91b2c07e1f3a", by: "cli" },
    },
  },
  "reactor.keys_full": {
    description: "A reactor follows more keys than `keys_max`: those that were touched longest ago were let go.",
    severity: "high",
    data: object({ reactor: text, keys_max: integer, dropped: { type: "integer", description: "keys, since it was told last" } }),
    example: { subject: "ssh-bruteforce", data: { reactor: "ssh-bruteforce", keys_max: 10_000, dropped: 212 } },
  },
  "reactor.set_aside": {
    description:
      "Judging failed again and again by a fault of the master's own: what it failed on is set aside for this reactor, and everything else goes on.",
    severity: "high",
    data: object({
      reactor: text,
      what: { type: "string", description: "the event's id, or the key of what was due" },
      why: { type: "string", description: "the error" },
      whole: { type: "boolean", description: "the reactor is not asked at all any more, until it is changed or the master is restarted" },
    }),
    example: {
      subject: "restart-web",
      data: { reactor: "restart-web", what: "web1:mi4k2x:42", why: "judging it failed 3 times: Invalid string length", whole: false },
    },
  },
  "reactor.loop_cut": {
    description: "A causal chain was too deep or too busy: the reactor did not fire, and the chain ends there.",
    severity: "high",
    data: object({
      reactor: { type: "string", description: "the one that did not fire" },
      chain: { type: "array", items: { type: "string" }, description: "the reactors whose remedies led there, outermost first" },
      root: { type: "string", description: "the event with which it began" },
      why: reason,
    }),
    example: {
      subject: "restart-web",
      data: {
        reactor: "restart-web",
        chain: ["reload-proxy", "restart-web"],
        root: "web1:mi4k2x:42",
        why: "the chain is 16 remedies deep",
      },
    },
  },
  "beacon.loaded": {
    description: "A file of beacons is in force on the master, which hands it out.",
    severity: "low",
    data: definitionFile,
    example: fileExample("/etc/needfire/beacons/etc.yaml"),
  },
  "action.loaded": {
    description: "A file of an action of your own is in force on the master.",
    severity: "low",
    data: definitionFile,
    example: fileExample("/etc/needfire/actions/scale.yaml"),
  },
  "action.refused": {
    description: "A file of an action of your own has a problem: what was in force of it stays. One event for each problem.",
    severity: "high",
    data: problem,
    example: refusal("/etc/needfire/actions/scale.yaml"),
  },
  "reactor.decisions_dropped": {
    description: "Reactors decided more than can be recorded: what is told of single events has gaps. At most every 10 minutes.",
    severity: "low",
    data: object({
      unrecorded: { type: "integer", description: "decisions that were not recorded: too many at once" },
      reactors: { type: "object", additionalProperties: { type: "integer" }, description: "by reactor, those with the most" },
      dropped: { type: "integer", description: "the oldest decisions, which made room for new ones" },
    }),
    example: { data: { unrecorded: 1_204, reactors: { "ssh-bruteforce": 1_204 }, dropped: 0 } },
  },
  "silence.added": {
    description: "An operator silenced a reactor, an agent, or both.",
    severity: "normal",
    data: silence,
    example: silenceExample,
  },
  "silence.removed": { description: "A silence was ended before its time.", severity: "normal", data: silence, example: silenceExample },
  "silence.expired": { description: "A silence came to its end.", severity: "low", data: silence, example: silenceExample },
  "journal.trimmed": {
    description: "The journal dropped its oldest events: they were too old, or too many.",
    severity: "low",
    data: object({
      partitions: { type: "array", items: integer },
      events: integer,
      bytes: integer,
      from: isoTime,
      to: isoTime,
      keep_ms: { type: "number", description: "how long events are kept" },
      bytes_max: { type: "number", description: "how much the journal may take" },
    }),
    example: {
      data: {
        partitions: [3],
        events: 1_000_000,
        bytes: 301_000_000,
        from: "2026-01-01T00:00:00.000Z",
        to: "2026-01-02T00:00:00.000Z",
        keep_ms: 2_592_000_000,
        bytes_max: 10_737_418_240,
      },
    },
  },
  "journal.full": {
    description: "The disk took nothing for a time, and takes events again. Agents kept theirs.",
    severity: "critical",
    data: object({ from: milliseconds, to: milliseconds }),
    example: { data: { from: 1_767_225_600_000, to: 1_767_225_900_000 } },
  },
  "journal.dropped": {
    description: "While the disk took nothing, the master had more to say than may wait.",
    severity: "high",
    data: object({
      events: { type: "integer", description: "how many were left out" },
      waiting_max: { type: "integer", description: "how many may wait" },
    }),
    example: { data: { events: 12, waiting_max: 10_000 } },
  },
  "journal.damaged": {
    description: "The master's database was damaged. It was set aside, and what could be saved of it is in a new one.",
    severity: "critical",
    data: object({
      reason,
      set_aside: { type: "string", description: "the damaged file" },
      kept: { type: "object", additionalProperties: { type: "integer" }, description: "rows that were saved, by table" },
      incomplete: { type: "array", items: { type: "string" }, description: "tables that may miss rows" },
    }),
    example: {
      subject: "/var/lib/needfire/master.db.damaged-1",
      data: {
        reason: "database disk image is malformed",
        set_aside: "/var/lib/needfire/master.db.damaged-1",
        kept: { task: 412 },
        incomplete: ["execution"],
      },
    },
  },
  "journal.behind": {
    description:
      "More closed parts of the journal wait to be sealed than may: events come faster than that goes on, or it fails. Questions about those parts take longer.",
    severity: "high",
    data: object(
      {
        partitions: { type: "integer", description: "how many wait" },
        events: { type: "integer", description: "how many are in them" },
        partitions_max: { type: "integer", description: "how many may wait" },
        held: { type: "boolean", description: "agents keep what is not critical until some are sealed; not where sealing fails" },
        reason: { type: "string", description: "why sealing fails" },
      },
      ["partitions", "events", "partitions_max", "held"],
    ),
    example: { data: { partitions: 51, events: 5_100_000, partitions_max: 50, held: true } },
  },
  "journal.caught_up": {
    description: "Sealing was behind, and is not any more.",
    severity: "low",
    data: object({ from: milliseconds, to: milliseconds }),
    example: { data: { from: 1_767_225_600_000, to: 1_767_225_660_000 } },
  },
  "journal.partition_damaged": {
    description:
      "A sealed part of the journal cannot be read: answers are without its events, and say so. The rest of the journal goes on.",
    severity: "critical",
    data: object({
      partition: { type: "integer", description: "its number" },
      reason,
      events: { type: "integer", description: "how many are in it" },
      from: isoTime,
      to: isoTime,
    }),
    example: {
      subject: "/var/lib/needfire/master/journal/12.db",
      data: {
        partition: 12,
        reason: "database disk image is malformed",
        events: 100_000,
        from: "2026-01-01T00:00:00.000Z",
        to: "2026-01-01T08:00:00.000Z",
      },
    },
  },
  "master.backlog": {
    description:
      "For a minute commands have waited for their turn at hosts that are connected: as many are out as `commands_max` or `commands_per_agent_max` lets be. Told once, until none waits any more.",
    severity: "normal",
    data: object({
      waiting: { type: "integer", description: "commands that wait for their turn" },
      given: { type: "integer", description: "commands that are with their hosts" },
    }),
    example: { data: { waiting: 1_200, given: 20_000 } },
  },
  "master.memory": {
    description: "The master took more memory than it may, and dropped all connections to get it back.",
    severity: "critical",
    data: object({
      resident: { type: "number", description: "bytes" },
      limit: { type: "number", description: "bytes" },
      freed: { type: "number", description: "bytes" },
    }),
    example: { data: { resident: 4_400_000_000, limit: 4_294_967_296, freed: 3_100_000_000 } },
  },
  ...rolloutEventTypes,
} as const satisfies Record<string, EventTypeSpec>;
