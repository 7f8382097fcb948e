/** What a rollout says of itself. Its hosts' tasks say the rest. */
import { type EventTypeSpec, object } from "./spec.ts";

const text = { type: "string" } as const;
const reason = { type: "string", description: "for people" } as const;
const integer = (description: string) => ({ type: "integer", description }) as const;

const about = {
  rollout: { type: "string", description: "its id" },
  reactor: { type: "string", description: "its name" },
  reactor_version: text,
} as const;
const plan = {
  targets: { type: "string", description: "as they are written" },
  combined: { type: "boolean", description: "it is of firings of several hosts that go together" },
  agents: {
    type: "array",
    items: text,
    description: "where firings go together, or nothing is begun: the first 100 hosts, in their order",
  },
  events: { type: "array", items: text, description: "where firings go together: the newest 100 events that went in" },
  hosts: integer("how many fit"),
  waves: { type: "array", items: { type: "integer" }, description: "up to how many hosts each goes" },
  concurrent: integer("so many hosts at once at most"),
  stop_after: integer("when it failed on so many hosts, nothing more begins"),
  retry_of: { type: "string", description: "the rollout that is tried again on the hosts on which it failed" },
  left_out: integer("hosts that fit and that it does not go to"),
  left_out_hosts: {
    type: "array",
    items: object({ agent: text, reason }),
    description: "the first 100 of them: a silence, limits.per_agent",
  },
} as const;
/** In events and in the API alike. */
export const rolloutCounts = {
  hosts: integer("how many it is for"),
  begun: integer("on how many it has begun"),
  open: integer("on how many it is under way"),
  resolved: integer("on how many it held"),
  failed: integer("on how many it did not"),
  cancelled: integer("on how many it was cancelled"),
  expired: integer("on how many nothing was begun in its time: they were away, or their turn came too late"),
} as const;
const order = object({ ...about, reason, by: { type: "string", description: "who" }, ...rolloutCounts });

const someRollout = { rollout: "r-9b1c44d07e2a51f3", reactor: "patch-openssl", reactor_version: "5d1e0a9c44b7" };
const example = (data: object) => ({ subject: "openssl", data: { ...someRollout, ...data } });
const planExample = { targets: "web*", hosts: 50, waves: [1, 5, 25, 50], concurrent: 5, stop_after: 2 };
const countsExample = { hosts: 50, begun: 5, open: 1, resolved: 2, failed: 2, cancelled: 0, expired: 0 };
const orderExample = example({ reason: "the load is high", by: "alice", ...countsExample });
const required = [...Object.keys(about), "targets", "hosts", "waves", "concurrent"];

export const rolloutEventTypes = {
  "rollout.waiting": {
    description: "A reactor fired for several hosts, and somebody is asked before it begins.",
    severity: "low",
    data: object({ ...about, ...plan, task: { type: "string", description: "that asks" } }, [...required, "task"]),
    example: example({ ...planExample, task: "t-3f9a1c0b27d40000" }),
  },
  "rollout.started": {
    description: "A reactor fired for several hosts: it begins on them wave by wave.",
    severity: "low",
    data: object({ ...about, ...plan }, required),
    example: example(planExample),
  },
  "rollout.planned": {
    description: "A reactor in mode plan fired for several hosts: nothing is begun on them.",
    severity: "low",
    data: object({ ...about, ...plan, reason }, [...required, "agents"]),
    example: example({ ...planExample, agents: ["web3", "web1"] }),
  },
  "rollout.wave": {
    description: "The wave before has ended, and the next hosts begin.",
    severity: "low",
    data: object({ ...about, wave: integer("from 1"), waves: integer("how many there are"), hosts: integer("how many are in it") }),
    example: example({ wave: 2, waves: 4, hosts: 4 }),
  },
  "rollout.paused": {
    description: "Somebody paused a rollout: nothing more begins, and what is under way goes on.",
    severity: "low",
    data: order,
    example: orderExample,
  },
  "rollout.resumed": { description: "Somebody let a rollout go on.", severity: "low", data: order, example: orderExample },
  "rollout.cancelled": {
    description: "Somebody ended a rollout: nothing more begins, and what is under way is cancelled.",
    severity: "low",
    data: order,
    example: orderExample,
  },
  "rollout.retried": {
    description: "Somebody wants a rollout tried again on the hosts on which it failed: another rollout follows from it.",
    severity: "normal",
    data: object(
      {
        ...about,
        request: { type: "string", description: "the caller's own name for it" },
        by: { type: "string", description: "who, and from where" },
        why: reason,
        unresolved: { type: "boolean", description: "true: also on the hosts on which it never began, and those that were cancelled" },
      },
      [...Object.keys(about), "request", "by"],
    ),
    example: example({ request: "c0ffee00c0ffee00", by: "alice from 10.1.2.3", why: "the mirror is back" }),
  },
  "rollout.stopped": {
    description: "It failed on too many hosts, or could not begin: nothing more begins, and what is under way goes on.",
    severity: "high",
    data: object({
      ...about,
      reason,
      ...rolloutCounts,
      failures: { type: "array", items: object({ agent: text, reason }), description: "the first 20 hosts on which it failed or expired" },
    }),
    example: example({
      reason: "it failed on 2 hosts, after which nothing more begins",
      ...countsExample,
      failures: [
        { agent: "web3", reason: "package.upgrade failed: no room" },
        { agent: "web7", reason: "web7 was not there within the time of package.upgrade" },
      ],
    }),
  },
  "rollout.done": {
    description: "Each host of a rollout has had its turn; on some it may have failed.",
    severity: "low",
    data: object({ ...about, ...rolloutCounts, took_ms: { type: "number", description: "since it was made" } }),
    example: example({ hosts: 50, begun: 50, open: 0, resolved: 49, failed: 1, cancelled: 0, expired: 0, took_ms: 184_000 }),
  },
} as const satisfies Record<string, EventTypeSpec>;
