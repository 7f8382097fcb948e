/**
 * Writes `docs/reference/` from the schemas, so that what is documented is what is checked: a page for each thing that people write
 * or read, one for each beacon type, and JSON Schemas for editors.
 *
 *     npm run docs [-- --check]
 *
 * `--check` writes nothing and fails when a file is not what the schemas would give.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { actions, outcomes } from "@needfire/shared/action";
import type { ActionSpec } from "@needfire/shared/actions/spec";
import * as api from "@needfire/shared/api";
import { beaconsQuery, beaconsView } from "@needfire/shared/api-beacons";
import * as byHand from "@needfire/shared/api-by-hand";
import { rolloutsQuery, rolloutsView, rolloutRetryView, rolloutView } from "@needfire/shared/api-rollouts";
import { replayLine, replayRequest } from "@needfire/shared/api-replay";
import type { BeaconSpec } from "@needfire/shared/beacons/spec";
import { beaconTypes } from "@needfire/shared/beacons/types";
import { agentConfigSchema, masterConfigSchema } from "@needfire/shared/config";
import { errorCodes } from "@needfire/shared/errors";
import { eventSchema, reservedPrefixes } from "@needfire/shared/event";
import { eventTypeGroups } from "@needfire/shared/event-types";
import { fileMapSchema } from "@needfire/shared/managed-file";
import { warningCodes } from "@needfire/shared/lint/warning";
import { reactorSchema } from "@needfire/shared/reactor/schema";
import { reactorTestFileSchema, reactorTestSchema } from "@needfire/shared/reactor-test/schema";
import { ownActionSchema } from "@needfire/shared/own-action";
import { ownActionPattern } from "@needfire/shared/own-action-name";
import { priorityMatrix, routerSchema } from "@needfire/shared/router";
import { beaconPages } from "./reference/beacons.ts";
import { eventSections } from "./reference/events.ts";
import { fields, page, type Schema, table } from "./reference/page.ts";

interface Route {
  does: string;
  query?: Schema;
  body?: Schema;
  gives: Schema;
  /** The answer is a stream of such objects, one to a line. */
  lines?: boolean;
}

const routes: Record<string, Route> = {
  "GET /v1/status": {
    does: "The master itself: its address, fingerprint and join string, how much of everything it has, and the problems in its files.",
    gives: api.statusView,
  },
  "GET /v1/keys": { does: "Every key that has knocked, and its state.", gives: api.keysView },
  "POST /v1/keys/:key/accept": { does: "Let a key in. `:key` is an agent id or a fingerprint.", body: api.byRequest, gives: api.keyView },
  "POST /v1/keys/:key/reject": { does: "Turn a waiting key away.", body: api.byRequest, gives: api.keyView },
  "POST /v1/keys/:key/revoke": { does: "Shut an accepted key out, at once.", body: api.byRequest, gives: api.keyView },
  "POST /v1/tokens": { does: "Make a token, and the join string that carries it.", body: api.tokenRequest, gives: api.tokenView },
  "GET /v1/agents": { does: "Every agent.", gives: api.agentsView },
  "GET /v1/agents/:id": { does: "One agent.", gives: api.agentView },
  "POST /v1/agents/:id/maintenance": {
    does: "Somebody works on this host: it is watched, and no reactor acts on what it says, until then. Again: another end.",
    body: api.maintenanceRequest,
    gives: api.agentView,
  },
  "POST /v1/agents/:id/maintenance/end": {
    does: "The work is over before its time. The host's beacons say once more what is wrong.",
    body: api.byRequest,
    gives: api.agentView,
  },
  "GET /v1/events": { does: "History, newest first.", query: api.eventsQuery, gives: api.eventsView },
  "GET /v1/events/stream": {
    does: "What happens from now on (from `since` on, when it is given), as it happens.",
    query: api.eventsQuery,
    gives: api.eventView,
    lines: true,
  },
  "GET /v1/events/count": {
    does: "How many events there are by type, agent, severity or hour; most first, hours in their order.",
    query: api.countQuery,
    gives: api.countView,
  },
  "GET /v1/events/:id": { does: "One event with its causal chain, both ways.", gives: api.chainView },
  "GET /v1/events/:id/decisions": {
    does: "Why each reactor did or did not fire on an event.",
    query: api.explainQuery,
    gives: api.explainView,
  },
  "POST /v1/events": { does: "Put an event into the journal.", body: api.sendRequest, gives: api.sendView },
  "GET /v1/reactors": { does: "The reactors in force, and the problems of those that are not.", gives: api.reactorsView },
  "GET /v1/reactors/:name": {
    does: "One reactor, and the text of its file: as it is in force, or as it was in a version.",
    query: api.reactorQuery,
    gives: api.reactorShowView,
  },
  "GET /v1/reactors/:name/versions": {
    does: "Every version of the reactor's file that came into force, newest first.",
    gives: api.reactorVersionsView,
  },
  "POST /v1/reactors/:name/rollback": {
    does: "Put an earlier text of the reactor's file back, and into force; without `to` the one before.",
    body: api.rollbackRequest,
    gives: api.rollbackView,
  },
  "GET /v1/beacons": {
    does: "The beacons that the master gives out, or those of one agent and how each is; and the problems in the master's files of them.",
    query: beaconsQuery,
    gives: beaconsView,
  },
  "GET /v1/rollouts": { does: "Rollouts, newest first.", query: rolloutsQuery, gives: rolloutsView },
  "GET /v1/rollouts/:id": { does: "One rollout with its hosts.", gives: rolloutView },
  "POST /v1/rollouts/:id/pause": { does: "Let nothing more of a rollout begin for now.", body: api.wordRequest, gives: rolloutView },
  "POST /v1/rollouts/:id/resume": { does: "Let a rollout that is paused go on.", body: api.wordRequest, gives: rolloutView },
  "POST /v1/rollouts/:id/cancel": {
    does: "End a rollout: nothing more begins, and what is under way is cancelled.",
    body: api.wordRequest,
    gives: rolloutView,
  },
  "GET /v1/silences": { does: "The silences in force.", gives: api.silencesView },
  "POST /v1/silences": {
    does: "Hold back firings: of some reactors, for some agents, for a while.",
    body: api.silenceRequest,
    gives: api.silenceView,
  },
  "POST /v1/silences/:id/remove": { does: "End a silence before its time.", body: api.byRequest, gives: api.silenceView },
  "POST /v1/replay": {
    does: "Reactors over recorded events, without acting: some progress, what would have fired, a summary; who hangs up ends it. Lines are told apart by `kind`.",
    body: replayRequest,
    gives: replayLine,
    lines: true,
  },
  "GET /v1/tasks": { does: "Tasks, newest first.", query: api.tasksQuery, gives: api.tasksView },
  "GET /v1/tasks/:id": { does: "One task with its executions.", gives: api.taskShowView },
  "POST /v1/tasks/:id/retry": {
    does: "Try a task once more that has ended and is not resolved: a new task, which is the answer.",
    body: byHand.retryRequest,
    gives: api.taskView,
  },
  "POST /v1/tasks/:id/comments": { does: "Say something of a task.", body: byHand.commentRequest, gives: byHand.commentView },
  "GET /v1/rollouts/:id/retry": {
    does: "Where a rollout would be tried again; nothing is done.",
    query: byHand.rolloutRetryQuery,
    gives: rolloutRetryView,
  },
  "POST /v1/rollouts/:id/retry": {
    does: "Try a rollout again on the hosts on which it failed: a new rollout, with its hosts.",
    body: byHand.rolloutRetryRequest,
    gives: rolloutView,
  },
  "GET /v1/actions": { does: "Actions of the user's own that are in force on the master.", gives: byHand.actionsView },
  "POST /v1/targets": { does: "The agents that a target means.", body: byHand.targetsRequest, gives: byHand.targetsView },
  "POST /v1/orders": {
    does: "Have an action done by hand on the agents that a target means: a task for each of them, which are durable when this answers.",
    body: byHand.orderRequest,
    gives: byHand.orderView,
  },
  "POST /v1/tasks/:id/cancel": { does: "End a task: nothing more of it is begun.", body: api.wordRequest, gives: api.taskView },
  "POST /v1/tasks/:id/approve": {
    does: "Let a task begin that waits for somebody's word; `NOT_YOURS` when `by` is none of those.",
    body: api.wordRequest,
    gives: api.taskView,
  },
  "POST /v1/tasks/:id/deny": { does: "End a task that waits for somebody's word.", body: api.wordRequest, gives: api.taskView },
  "GET /v1/breakers": { does: "Remedies that are not tried any more, the one that tripped first first.", gives: api.breakersView },
  "POST /v1/breakers/:name/reset": {
    does: "Let a reactor's remedy be tried again, for one key or for all. Gives what had tripped.",
    body: api.breakerResetRequest,
    gives: api.breakersView,
  },
  "POST /v1/reload": {
    does: "Read reactors, beacons and managed files again, as SIGHUP does.",
    body: api.byRequest,
    gives: api.reloadView,
  },
};

/** What the arguments of one of the user's own are says its own file. */
const ownForEditors = { [ownActionPattern]: { type: ["object", "null"] } };

const folder = join(dirname(import.meta.dirname), "docs", "reference");
const { values } = parseArgs({ options: { check: { type: "boolean", default: false } } });
process.exitCode = main(pages(), values.check);

function pages(): Record<string, string> {
  return {
    "events.md": eventsPage(),
    ...beaconPages(),
    "actions.md": actionsPage(),
    "reactors.md": reactorsPage(),
    "config.md": configPage(),
    "api.md": apiPage(),
    "errors.md": errorsPage(),
    "router.md": routerPage(),
    "reactor.schema.json": editorSchema("A Needfire reactor", reactorForEditors()),
    "reactor-test.schema.json": editorSchema("Tests of Needfire reactors", testsForEditors()),
    "own-actions.md": ownActionsPage(),
    "own-action.schema.json": editorSchema("An action of your own", ownActionSchema),
    "router.schema.json": editorSchema("Needfire's router", routerSchema),
    "beacon.schema.json": editorSchema("A Needfire beacon", { anyOf: Object.values(beaconTypes).map(({ options }) => options) }),
  };
}

function main(wanted: Record<string, string>, checkOnly: boolean): number {
  mkdirSync(folder, { recursive: true });
  const present = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  const extra = present.filter((name) => !Object.hasOwn(wanted, name));
  const stale = Object.keys(wanted).filter((name) => !present.includes(name) || readFileSync(join(folder, name), "utf8") !== wanted[name]);
  if (checkOnly) {
    for (const name of [...stale, ...extra]) process.stdout.write(`docs/reference/${name} is not what the schemas give: npm run docs\n`);
    return stale.length + extra.length > 0 ? 1 : 0;
  }
  for (const name of extra) rmSync(join(folder, name));
  for (const name of stale) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), wanted[name]!);
  }
  process.stdout.write(
    `docs/reference: ${stale.length} written, ${extra.length} removed, ${Object.keys(wanted).length - stale.length} as they were\n`,
  );
  return 0;
}

function eventsPage(): string {
  const titles = { beacons: "From beacons", agent: "From agents", master: "From the master" } as const;
  const reserved = reservedPrefixes.map((prefix) => `\`${prefix}\``);
  return page("Events", [
    "An event is something that happened. These are its fields, in conditions (`event.type`, `event.data.path`) and in `needfire events show --json`:",
    fields(eventSchema),
    `What is in \`data\` depends on the type. Below are all types that Needfire makes itself. Those under ${reserved.slice(0, -1).join(", ")} and ${reserved.at(-1)!} are the master's own, which nobody else can claim. Any other type is yours: nothing is known of its data, and \`reactors check\` says nothing about it.`,
    ...Object.entries(eventTypeGroups).flatMap(([group, types]) => [
      `## ${titles[group as keyof typeof titles]}`,
      ...(group === "beacons" ? [beaconEvents()] : eventSections(types)),
    ]),
  ]);
}

/** What beacons say stands in full with their types. */
function beaconEvents(): string {
  const rows = Object.entries<BeaconSpec>(beaconTypes).flatMap(([type, { events }]) =>
    Object.entries(events).map(([name, { description }]) => [
      `[\`${name}\`](beacons/${type}.md#${name.replaceAll(".", "")})`,
      `\`${type}\``,
      description,
    ]),
  );
  return table(["event", "beacon", "says"], rows);
}

function actionsPage(): string {
  const section = ([name, spec]: [string, ActionSpec]) => [
    `## \`${name}\``,
    spec.summary,
    `Runs on the ${spec.runsOn}.${policyText(spec)}${spec.verify === undefined ? "" : ` Verified by \`${spec.verify}\` with the same arguments.`}`,
    "### Arguments",
    fields(spec.args as Schema),
    "### Result",
    fields(spec.result as Schema),
  ];
  return page("Actions", [
    "An action is a remedy: what a reactor's `do` names. Any argument may be given as `${{ CEL }}`, which is evaluated for each event. What a host obeys, dry runs and the files are in the [guide](../guide/actions.md).",
    `An execution ends as one of: ${outcomes.map((name) => `\`${name}\``).join(", ")}.`,
    ...Object.entries(actions).flatMap(section),
  ]);
}

/** What a host's policy judges of an action. */
function policyText({ judged = {}, command }: ActionSpec): string {
  const parts = Object.entries(judged).map(([argument, list]) => `\`${argument}\` against \`${list}\``);
  if (command !== undefined) parts.push("what it starts against `commands`");
  return parts.length === 0 ? "" : ` A host's policy judges ${parts.join(", ")}.`;
}

function reactorsPage(): string {
  return page("Reactors", [
    "A reactor is a rule: on which events, under which condition, to do what. A file in `reactors/*.yaml` holds one or several, as YAML documents; it is taken as a whole or not at all. Editors check it against [reactor.schema.json](reactor.schema.json).",
    fields(reactorSchema),
    "## Values",
    "An argument's value may hold `${{ CEL }}`. The YAML is parsed first. An expression that is the whole of a value keeps its type; one inside a text becomes part of that text. Nothing is ever spliced into YAML or into a shell line. What expressions see is in the [guide](../guide/reactors.md#expressions); `event` has [these fields](events.md).",
    "## Tests",
    "The same in `NAME.test.yaml` beside `NAME.yaml`, under `tests:` ([guide](../guide/reactor-tests.md)). Editors check such a file against [reactor-test.schema.json](reactor-test.schema.json).",
    "## Warnings",
    "What `needfire reactors check` tells of files that are not wrong ([guide](../guide/lint.md)).",
    table(
      ["code", "says that there is"],
      Object.entries(warningCodes).map(([code, meaning]) => [`\`${code}\``, meaning]),
    ),
    "## Actions",
    table(
      ["action", "does"],
      Object.entries(actions).map(([name, { summary }]) => [`[\`${name}\`](actions.md#${name.replaceAll(".", "")})`, summary]),
    ),
  ]);
}

function routerPage(): string {
  return page("Router", [
    "`router.yaml` is the operator's classification: what an event means here, and to whom. Reactors see it as `route`. Editors check it against [router.schema.json](router.schema.json).",
    fields(routerSchema),
    "## Priority from impact and urgency",
    table(
      ["impact", ...Object.keys(priorityMatrix).map((urgency) => `urgency ${urgency}`)],
      Object.entries(priorityMatrix).map(([impact, row]) => [impact, ...Object.values(row)]),
    ),
  ]);
}

function ownActionsPage(): string {
  return page("Actions of your own", [
    "A file each, in the folder `actions`: of a host, with a copy on the master, or of the master itself ([the guide](../guide/actions.md#actions-of-your-own)). Editors check it against [own-action.schema.json](own-action.schema.json).",
    fields(ownActionSchema),
  ]);
}

function configPage(): string {
  return page("Configuration", [
    "Both files are YAML. Paths in them are relative to the file that they stand in.",
    "## `master.yaml`",
    fields(masterConfigSchema),
    "## `agent.yaml`",
    "`needfire agent join` writes it.",
    fields(agentConfigSchema),
    "## The map of managed files",
    "The file that `files` of `master.yaml` names: which file of the file root belongs where, and how it must look there.",
    fields(fileMapSchema),
  ]);
}

function apiPage(): string {
  return page("HTTP API", [
    "The master's API is on its unix socket (`socket` in `master.yaml`): `curl --unix-socket /run/needfire/master.sock http://needfire/v1/status`. Requests and answers are JSON.",
    "An answer that is no success carries a code from the [table of errors](errors.md):",
    fields(api.errorView),
    ...Object.entries(routes).flatMap(([route, { does, query, body, gives, lines }]) => [
      `## \`${route}\``,
      does,
      ...(query === undefined ? [] : ["### Query", fields(query)]),
      ...(body === undefined ? [] : ["### Body", fields(body)]),
      lines === true ? "### Answer: NDJSON, one object to a line" : "### Answer",
      fields(gives),
    ]),
  ]);
}

function errorsPage(): string {
  return page("Errors", [
    "Every error that Needfire throws or answers with carries one of these codes.",
    table(
      ["code", "means"],
      Object.entries(errorCodes).map(([code, meaning]) => [`\`${code}\``, meaning]),
    ),
  ]);
}

/** The reactor's schema with every action's arguments in place, each of which may be an expression instead. */
function reactorForEditors(): object {
  const step = {
    type: "object",
    minProperties: 1,
    maxProperties: 1,
    additionalProperties: false,
    patternProperties: ownForEditors,
    properties: Object.fromEntries(
      Object.entries<ActionSpec>(actions).map(([name, { args, summary }]) => [
        name,
        { description: summary, ...withExpressions(args as Schema) },
      ]),
    ),
  };
  const { properties } = reactorSchema;
  const lists = { do: { ...properties.do, items: step }, on_clear: { ...properties.on_clear, items: step } };
  const tests = { ...properties.tests, items: testForEditors() };
  return { ...reactorSchema, properties: { ...properties, ...lists, tests } };
}

function testsForEditors(): object {
  const { tests } = reactorTestFileSchema.properties;
  return { ...reactorTestFileSchema, properties: { tests: { ...tests, items: testForEditors() } } };
}

/** The schema of a test with the arguments of every action in place, of which an expectation may leave out any. */
function testForEditors(): object {
  const { properties } = reactorTestSchema;
  const { timeline } = properties;
  const { expect } = timeline.items.properties;
  const expected = expect.items.properties.do;
  const action = {
    ...expected.items,
    additionalProperties: false,
    patternProperties: ownForEditors,
    properties: Object.fromEntries(
      Object.entries<ActionSpec>(actions).map(([name, { args, summary }]) => {
        const { required: _, ...partial } = args as Schema;
        return [name, { description: summary, ...partial, type: ["object", "null"] }];
      }),
    ),
  };
  const items = { ...expect.items, properties: { ...expect.items.properties, do: { ...expected, items: action } } };
  const moment = { ...timeline.items, properties: { ...timeline.items.properties, expect: { ...expect, items } } };
  return { ...reactorTestSchema, properties: { ...properties, timeline: { ...timeline, items: moment } } };
}

function withExpressions(args: Schema): object {
  const expression = { type: "string", pattern: "\\$\\{\\{", description: "text with ${{ CEL }} in it" };
  const properties = Object.entries(args.properties ?? {}).map(([name, schema]) => {
    const { description } = schema;
    return [name, { ...(description === undefined ? {} : { description }), anyOf: [withExpressionItems(schema, expression), expression] }];
  });
  return { ...args, properties: Object.fromEntries(properties) };
}

function withExpressionItems(schema: Schema, expression: object): object {
  if (schema.items === undefined) return schema;
  return { ...schema, items: { anyOf: [schema.items, expression] } };
}

function editorSchema(title: string, schema: object): string {
  const whole = { $schema: "https://json-schema.org/draft/2020-12/schema", title, ...schema };
  return `${JSON.stringify(whole, (_key, value: unknown) => withPatternMessage(value), 2)}\n`;
}

/** Editors say what a pattern means, as we do, instead of the pattern. */
function withPatternMessage(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("pattern" in value)) return value;
  const { title, description } = value as Schema & { title?: string };
  const meant = title ?? description;
  return meant === undefined ? value : { ...value, patternErrorMessage: `Expected ${meant}.` };
}
