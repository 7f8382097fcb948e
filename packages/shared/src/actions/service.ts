/** Actions on services: what an init runs. */
import type { JSONSchema } from "json-schema-to-ts";
import { type ActionSpec, timeout } from "./spec.ts";

const inits = ["systemd", "openrc", "runit", "sysv"] as const;

const args = {
  type: "object",
  properties: {
    name: {
      type: "string",
      title: "the name of a service",
      // Never a dash first: a name reaches programs as an argument. Never a wildcard or a slash.
      pattern: "^(?!\\.\\.?$)[A-Za-z0-9_@:.\\\\][A-Za-z0-9_@:.\\\\-]*$",
      maxLength: 255,
      description: "such as `nginx`; without a unit's suffix comes `.service`, as for systemctl",
    },
    timeout: timeout("2m", "how long the init may take; what it has begun goes on after that"),
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const state = {
  type: "object",
  properties: {
    state: { type: "string", description: "in the init's words: active, inactive, failed, not-found, masked, run, down, ..." },
    sub_state: { type: "string", description: "of systemd: running, dead, exited, ..." },
    enabled: { type: "string", description: "of systemd: enabled, disabled, static, masked, ..." },
    result: { type: "string", description: "of systemd, when it does not run: exit-code, signal, timeout, ..." },
    exit_code: { type: "integer", description: "of its main process, when that ended by itself" },
    signal: { type: "integer", description: "what its main process was ended by" },
  },
  required: ["state"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const result = {
  type: "object",
  properties: { unit: { type: "string" }, init: { enum: inits }, before: state, after: state },
  required: ["unit", "init", "before", "after"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const service = (summary: string) => ({ runsOn: "agent", summary, args, judged: { name: "units" }, result }) as const;

export const serviceActions = {
  "service.start": service("Start a service and wait until the init says that it has started. One that runs is left alone."),
  "service.stop": service("Stop a service and wait for its end. One that does not run is left alone."),
  "service.restart": service("Stop a service, if it runs, and start it."),
  "service.reload": service("Let a running service read its configuration again. Fails when it does not run, or cannot."),
  "service.enable": service("Have a unit of systemd started at boot. Does not start it now."),
  "service.disable": service("Have a unit of systemd not started at boot. Does not stop it now."),
  "service.mask": service("Make it impossible to start a unit of systemd, by hand or as another's dependency. Does not stop it now."),
  "service.unmask": service("Take a mask of `service.mask` away."),
} as const satisfies Record<string, ActionSpec>;
