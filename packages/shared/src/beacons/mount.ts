/** The `mount` beacon: options and events. */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";
import { absolutePath, type BeaconSpec, common, type Contradiction, interval } from "./spec.ts";

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "mount" },
    expected: {
      type: "array",
      items: absolutePath,
      maxItems: 1_000,
      default: [],
      description: "mount points at which something must be mounted",
    },
    fstab: { type: "boolean", default: false, description: "also those of /etc/fstab that are mounted at the start (without noauto)" },
    changes: { type: "boolean", default: true, description: "tell what is mounted, unmounted and mounted with other options" },
    exclude: {
      type: "array",
      items: absolutePath,
      maxItems: 1_000,
      default: [
        "/proc/**",
        "/sys/**",
        "/dev/**",
        "/run/{user,docker,netns,credentials,containerd,k3s}/**",
        "/var/lib/{docker,containers,containerd,kubelet,lxcfs}/**",
        "/snap/**",
      ],
      description: "globs on mount points of which no change is told; by default those of the kernel, of sessions and of containers",
    },
    interval: interval("10s"),
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const satisfies JSONSchema;
export type MountBeacon = FromSchema<typeof options>;

const mounted = {
  device: { type: "string" },
  filesystem: { type: "string", description: "its type, such as ext4" },
  options: { type: "array", items: { type: "string" }, description: "of the mount and of its file system, in order" },
} as const;
const mountPoint = { mount: { type: "string", description: "the mount point" } } as const;
const required = ["mount", "device", "filesystem", "options"] as const;

const one = {
  type: "object",
  properties: { ...mountPoint, ...mounted },
  required,
  additionalProperties: false,
} as const satisfies JSONSchema;
const changed = {
  type: "object",
  properties: {
    ...mountPoint,
    ...mounted,
    before: { type: "object", properties: mounted, required: ["device", "filesystem", "options"], additionalProperties: false },
    changes: { type: "array", items: { enum: ["device", "filesystem", "options"] } },
  },
  required: [...required, "before", "changes"],
  additionalProperties: false,
} as const satisfies JSONSchema;
const wanted = {
  type: "object",
  properties: {
    ...mountPoint,
    wanted_by: { enum: ["expected", "fstab"], description: "who says that it must be there: the definition, or /etc/fstab" },
    device: { type: "string", description: "what is there, or what /etc/fstab wants there" },
  },
  required: ["mount", "wanted_by"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export type MountData = FromSchema<typeof one>;
export type MountChangedData = FromSchema<typeof changed>;
export type MountWantedData = FromSchema<typeof wanted>;

const data: MountData = { mount: "/data", device: "/dev/sdb1", filesystem: "ext4", options: ["relatime", "rw"] };
const { mount: _, ...before } = data;

export const mount = {
  summary: "What is mounted, unmounted and mounted with other options; and what should be mounted and is not.",
  options,
  events: {
    "mount.added": { description: "Something was mounted.", severity: "normal", data: one, example: { subject: "/data", data } },
    "mount.removed": { description: "Something was unmounted.", severity: "normal", data: one, example: { subject: "/data", data } },
    "mount.changed": {
      description: "Something is mounted with other options than before, or something else is mounted there.",
      severity: "normal",
      data: changed,
      example: { subject: "/data", data: { ...data, options: ["relatime", "ro"], before, changes: ["options"] } },
    },
    "mount.missing": {
      description: "What should be mounted is not. Told once, at the first look, too.",
      severity: "normal",
      data: wanted,
      example: { subject: "/data", data: { mount: "/data", wanted_by: "fstab", device: "UUID=7c2f" } },
    },
    "mount.present": {
      description: "It is mounted again.",
      severity: "normal",
      data: wanted,
      example: { subject: "/data", data: { mount: "/data", wanted_by: "fstab", device: "/dev/sdb1" } },
    },
  },
  contradiction,
} as const satisfies BeaconSpec;

function contradiction({ expected, fstab, changes }: MountBeacon): Contradiction | undefined {
  if (changes || fstab || expected.length > 0) return undefined;
  return { path: ["changes"], message: 'nothing to watch: give "expected", "fstab: true", or leave "changes" out' };
}
