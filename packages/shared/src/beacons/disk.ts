/** The `disk` beacon: options and events. */
import type { JSONSchema } from "json-schema-to-ts";
import { type BeaconSpec, common, duration, interval, texts } from "./spec.ts";
import { thresholdContradiction, thresholdData, thresholdKeys, thresholdOptions } from "./threshold.ts";

const globs = texts(4_096);

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "disk" },
    mounts: { ...globs, default: ["/**"], description: "globs on mount points; they need not be mounted yet" },
    exclude: { ...globs, default: [], description: "globs on mount points" },
    filesystems: {
      type: "array",
      items: { type: "string", minLength: 1, maxLength: 255 },
      maxItems: 100,
      description:
        "types of file systems; default: those that lie on a disk, and tmpfs; not those of containers, nor of the network, since a server that is away blocks whoever asks",
    },
    ...thresholdOptions({
      unit: "per cent of the space that programs may use, as `df` counts it; 100: not judged",
      maximum: 100,
      lasts: "30s",
    }),
    inodes_above: { type: "number", minimum: 0, maximum: 100, default: 90, description: "per cent of the inodes; 100: not judged" },
    filling: {
      ...duration,
      description: "say so when a disk will be full within this time, at the rate of the last `filling_over`; default: not judged",
    },
    filling_over: { ...duration, default: "10m", description: "the time over which the rate is taken" },
    readonly: { type: "boolean", default: true, description: "say so when what should be writable is mounted read-only" },
    interval: interval("15s"),
  },
  required: ["name", "type", "above"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const place = {
  mount: { type: "string", description: "the mount point" },
  device: { type: "string" },
  filesystem: { type: "string", description: "its type, such as ext4" },
} as const;

const level = {
  type: "object",
  properties: {
    ...place,
    resource: { enum: ["space", "inodes"] },
    percent: { type: "number" },
    free: { type: "number", description: "bytes that programs may use, or inodes" },
    total: { type: "number", description: "bytes, or inodes" },
    ...thresholdData,
  },
  required: ["mount", "device", "filesystem", "resource", "percent", "free", "total", ...thresholdKeys],
  additionalProperties: false,
} as const satisfies JSONSchema;

const rate = {
  type: "object",
  properties: {
    ...place,
    full_in_ms: { type: ["number", "null"], description: "time until it is full at this rate; null: it does not grow" },
    bytes_per_s: { type: "number", description: "how fast it grows" },
    free: { type: "number", description: "bytes that programs may use" },
    percent: { type: "number" },
  },
  required: ["mount", "device", "filesystem", "full_in_ms", "bytes_per_s", "free", "percent"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const mode = {
  type: "object",
  properties: { ...place, why: { type: "string", description: "how it is known that it should be writable" } },
  required: ["mount", "device", "filesystem"],
  additionalProperties: false,
} as const satisfies JSONSchema;

const at = { mount: "/var", device: "/dev/mapper/vg-var", filesystem: "ext4" };
const space = {
  ...at,
  resource: "space",
  percent: 93.4,
  free: 1_420_000_000,
  total: 21_500_000_000,
  above: 90,
  clear_below: 85,
  lasted_ms: 30_004,
};
const grows = { ...at, full_in_ms: 5_400_000, bytes_per_s: 1_850_000, free: 9_990_000_000, percent: 53.5 };

export const disk = {
  summary: "Space and inodes of each mounted disk over a threshold, how soon it will be full, and disks that turned read-only.",
  options,
  events: {
    "disk.high": {
      description:
        "The space or the inodes in use (`resource`) have been over the threshold for the beacon's time. Told once for each, until `disk.normal`.",
      severity: "normal",
      data: level,
      example: { subject: "/var", data: space },
    },
    "disk.normal": {
      description: "The space or the inodes in use are under the threshold again.",
      severity: "normal",
      data: level,
      example: { subject: "/var", data: { ...space, percent: 71.2, free: 6_190_000_000 } },
    },
    "disk.filling": {
      description: "At the rate at which it grows it will be full within the beacon's time. Told once, until `disk.steady`.",
      severity: "normal",
      data: rate,
      example: { subject: "/var", data: grows },
    },
    "disk.steady": {
      description: "It grows no more, or so slowly that it will not be full within twice the beacon's time.",
      severity: "normal",
      data: rate,
      example: { subject: "/var", data: { ...grows, full_in_ms: null, bytes_per_s: 0 } },
    },
    "disk.readonly": {
      description: "It is mounted read-only and should not be: it was writable before, or /etc/fstab says so.",
      severity: "normal",
      data: mode,
      example: { subject: "/var", data: { ...at, why: "it was writable before" } },
    },
    "disk.writable": {
      description: "It is writable again.",
      severity: "normal",
      data: mode,
      example: { subject: "/var", data: at },
    },
  },
  contradiction: thresholdContradiction,
} as const satisfies BeaconSpec;
