/** The `container` beacon: options and events. */
import type { JSONSchema } from "json-schema-to-ts";
import { absolutePath, type BeaconSpec, common, interval, texts } from "./spec.ts";

const globs = { ...texts(500), minItems: 1 } as const;

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "container" },
    socket: {
      ...absolutePath,
      description:
        "the engine's socket; default: the first that is there of /run/docker.sock, /var/run/docker.sock and /run/podman/podman.sock",
    },
    names: { ...globs, description: "globs of names: only these containers; default: all" },
    images: { ...globs, description: "globs of images, such as **/shop:*; default: all" },
    labels: { ...globs, description: "`key` or `key=value`; a container must have all of them" },
    interval: {
      ...interval("1m"),
      description: "how often all containers are looked at beside what the engine tells, give or take a tenth; 100ms to 24h",
    },
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const known = {
  id: { type: "string", description: "hexadecimal" },
  name: { type: "string" },
  image: { type: "string" },
} as const;

const data = { type: "object", properties: known, required: ["id", "name", "image"], additionalProperties: false } as const;

const died = {
  ...data,
  properties: {
    ...known,
    exit_code: { type: "integer", description: "128 and more: by a signal (137: killed). Missing: nobody can say any more" },
    asked: { type: "boolean", description: "the engine was told to end it just before. Podman does not say that of every stop" },
    oom_killed: { type: "boolean", description: "true when it is known that it was for want of memory" },
  },
  required: ["id", "name", "image", "asked"],
} as const;

const example = { id: "9f2c".repeat(16), name: "shop-web-1", image: "registry.example.com/shop:2.4" };
const event = (description: string, severity: "normal" | "high") =>
  ({ description, severity, data, example: { subject: example.name, data: example } }) as const;

export const container = {
  summary: "Containers of Docker or Podman: started, ended, out of memory, unhealthy.",
  options,
  events: {
    "container.started": event("A container was started.", "normal"),
    "container.died": {
      description: "A container ended, with its exit code.",
      severity: "normal",
      data: died,
      example: { subject: example.name, data: { ...example, exit_code: 137, asked: false } },
    },
    "container.oom": event("A container ran out of the memory that it may have; something in it was killed.", "high"),
    "container.unhealthy": event("The health check of a container fails. Told once, until it is healthy or has ended.", "high"),
    "container.healthy": event("A container that was unhealthy is healthy again.", "normal"),
  },
} as const satisfies BeaconSpec;
