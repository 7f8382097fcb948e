/** The `service` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { durationMs } from "../duration.ts";
import { type BeaconSpec, common, type Contradiction, duration, interval } from "./spec.ts";

/** A unit of systemd, or an init script; with wildcards. */
const unit = {
  type: "string",
  pattern: "^[A-Za-z0-9@:._\\\\*?\\[\\]{},!-]+$",
  maxLength: 255,
  description: "a name or a glob; without a dot at its end comes `.service`, as for systemctl",
} as const;

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "service" },
    units: { type: "array", items: unit, minItems: 1, maxItems: 1_000, description: "names and globs, such as `nginx` or `app@*`" },
    exclude: { type: "array", items: unit, maxItems: 1_000, default: [], description: "not these, of what a glob fits" },
    down_when: {
      enum: ["stopped", "failed"],
      default: "stopped",
      description:
        "`stopped`: one that is named in full must run, one that a glob fits must not stop once it ran; `failed`: only what has failed is down",
    },
    for: {
      ...duration,
      default: "1s",
      description: "how long a unit must not run before it is told, so that a restart is not; one that has failed for good is told at once",
    },
    flapping_restarts: { type: "integer", minimum: 2, maximum: 100, default: 5, description: "so many restarts in `flapping_window`" },
    flapping_window: { ...duration, default: "10m" },
    init: {
      enum: ["auto", "systemd", "openrc", "runit", "sysv"],
      default: "auto",
      description: "who runs the host's services; `auto`: what is found",
    },
    interval: interval("30s"),
  },
  required: ["name", "type", "units"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type ServiceBeacon = FromSchema<typeof options>;

const data = {
  type: "object",
  properties: {
    unit: { type: "string" },
    state: { type: "string", description: "in the init's words: active, inactive, failed, activating, not-found, ..." },
    sub_state: { type: "string", description: "of systemd: running, dead, auto-restart, ..." },
    result: { type: "string", description: "why it ended, in systemd's words: exit-code, signal, oom-kill, timeout, watchdog, ..." },
    exit_code: { type: "integer", description: "of its main process, when that ended by itself" },
    signal: { type: "integer", description: "what its main process was ended by" },
    init: { enum: ["systemd", "openrc", "runit", "sysv"] },
    restarts: { type: "integer", description: "in the last `flapping_window`, as far as this beacon has seen" },
    window_ms: { type: "integer", description: "`flapping_window`" },
    lasted_ms: { type: "number", description: "how long it was down or flapping, as far as this run of the beacon knows" },
  },
  required: ["unit", "state", "init", "restarts", "window_ms"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type ServiceEventData = FromSchema<typeof data>;

const nginx = { unit: "nginx.service", init: "systemd", restarts: 0, window_ms: 600_000 } as const;
const failed: ServiceEventData = { ...nginx, state: "failed", sub_state: "failed", result: "exit-code", exit_code: 1 };
const runs: ServiceEventData = { ...nginx, state: "active", sub_state: "running", lasted_ms: 4_120 };
const restarting: ServiceEventData = {
  ...nginx,
  state: "activating",
  sub_state: "auto-restart",
  result: "signal",
  signal: 11,
  restarts: 5,
};

export const service = {
  summary: "Services: one that does not run or has failed, runs again, or is restarted again and again.",
  options,
  events: {
    "service.down": {
      description: "A service has failed, or does not run though it should. Told once, until `service.up`.",
      severity: "high",
      data,
      example: { subject: nginx.unit, data: failed },
    },
    "service.up": {
      description:
        "A service that was told as down or flapping runs (steadily) again; for `down_when: failed`, it has not failed any more.",
      severity: "normal",
      data,
      example: { subject: nginx.unit, data: runs },
    },
    "service.flapping": {
      description: "A service was restarted `flapping_restarts` times in `flapping_window`. Told once; ends with `service.up` or `.down`.",
      severity: "high",
      data,
      example: { subject: nginx.unit, data: restarting },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

/** Restarts that are further apart than a day are not counted together. */
const windowMs = { min: 1_000, max: 24 * 3_600_000 };

function contradiction({ units, flapping_window: window }: ServiceBeacon): Contradiction | undefined {
  const template = units.findIndex((text) => /@(\.[a-z]+)?$/.test(text));
  if (template >= 0) {
    const text = units[template]!;
    return {
      path: ["units", template],
      message: `"${text}" is a template and never runs itself: name an instance, or "${text.replace("@", "@*")}"`,
    };
  }
  const ms = durationMs(window);
  if (ms >= windowMs.min && ms <= windowMs.max) return undefined;
  return { path: ["flapping_window"], message: `flapping_window is 1s to 24h, got "${window}"` };
}
