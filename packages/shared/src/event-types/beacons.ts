/** The events of beacons: what each means, and an example. The schemas of their data stand with the beacons (beacon.ts). */
import { type BeaconType, beaconTypes, type CpuEventData, type FileEventData, type LimitedEventData } from "../beacon.ts";
import type { EventTypeSpec } from "./spec.ts";

type EventsOf<T extends BeaconType> = T extends BeaconType ? keyof (typeof beaconTypes)[T]["events"] : never;
/** A beacon's event without an entry here does not compile. */
type BeaconEventName = EventsOf<BeaconType>;

const file = beaconTypes.file.events;
const cpu = beaconTypes.cpu.events;

const before = { type: "file", digest: "3f".repeat(32), size: 120, mode: "0644", owner: "root", group: "root" } as const;
const after = { ...before, digest: "a4".repeat(32), size: 138 };
const path = "/etc/ssh/sshd_config";

const diff = "--- /etc/ssh/sshd_config\n+++ /etc/ssh/sshd_config\n@@ -1 +1 @@\n-PermitRootLogin no\n+PermitRootLogin yes\n";
const changed: FileEventData = { path, changes: ["content"], before, after, diff };
const created: FileEventData = { path, changes: ["created"], before: null, after, diff_note: "the file was not there before" };
const removed: FileEventData = { path, changes: ["removed"], before, after: null, diff_note: "the file is gone" };
const load: CpuEventData = { percent: 97.2, above: 90, clear_below: 70, lasted_ms: 10_003, cores: 4 };
const limited: LimitedEventData = {
  dropped: 412,
  types: { "file.changed": 400, "file.created": 12 },
  from: 1_767_225_600_000,
  to: 1_767_225_609_500,
  limit: "10000/10s",
};

export const beaconEventTypes = {
  "file.created": {
    description: "A watched file, directory or link came into being.",
    severity: "normal",
    data: file["file.created"],
    example: { subject: path, data: created },
  },
  "file.changed": {
    description: "A watched file was changed: its content, mode, owner or type.",
    severity: "normal",
    data: file["file.changed"],
    example: { subject: path, data: changed },
  },
  "file.removed": {
    description: "A watched file, directory or link is gone.",
    severity: "normal",
    data: file["file.removed"],
    example: { subject: path, data: removed },
  },
  "file.drifted": {
    description: "A managed file is not as it should be. `before` is what it should be.",
    severity: "normal",
    data: file["file.drifted"],
    example: { subject: path, data: changed },
  },
  "file.unreadable": {
    description: "A watched path cannot be read or listed. Told once, until it can be read again.",
    severity: "normal",
    data: file["file.unreadable"],
    example: { subject: path, data: { message: "EACCES: permission denied", path } },
  },
  "beacon.overflow": {
    description: "The kernel could not tell every change, or takes no more watches; the beacon has looked for itself.",
    severity: "high",
    data: file["beacon.overflow"],
    example: { subject: "etc", data: { message: "the kernel's limit of inotify watches is reached: the rest is polled" } },
  },
  "beacon.limited": {
    description: "A beacon made more events than its `rate`: how many were left out.",
    severity: "normal",
    data: file["beacon.limited"],
    example: { subject: "etc", data: limited },
  },
  "cpu.high": {
    description: "The load has been over the threshold for the beacon's time. Told once, until `cpu.normal`.",
    severity: "normal",
    data: cpu["cpu.high"],
    example: { data: load },
  },
  "cpu.normal": {
    description: "The load is under the threshold again.",
    severity: "normal",
    data: cpu["cpu.normal"],
    example: { data: { ...load, percent: 12.5, lasted_ms: 10_001 } },
  },
} as const satisfies Record<BeaconEventName, EventTypeSpec>;
