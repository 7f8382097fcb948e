/**
 * What an agent is to have, its beacons and managed files, as messages: in parts that fit a frame each, all under the version of the whole.
 */
import { createHash } from "node:crypto";
import type { BeaconDefinition } from "@needfire/shared/beacon";
import type { ManagedFile } from "@needfire/shared/managed-file";
import { frameBytesMax, type MasterMessage } from "@needfire/shared/wire";

/** What one part takes as JSON; as MessagePack it is hardly ever larger, and there is room to spare in a frame. */
export const partBytesMax = Math.floor(frameBytesMax * 0.6);

export function fileParts(version: string, all: ManagedFile[]): MasterMessage[] {
  return partsOf(all).map((files, part, { length: parts }) => ({ kind: "files", body: { version, part, parts, files } }));
}

export function beaconParts(version: string, all: BeaconDefinition[]): MasterMessage[] {
  return partsOf(all).map((definitions, part, { length: parts }) => ({ kind: "beacons", body: { version, part, parts, definitions } }));
}

/** At least one, which may be empty. */
function partsOf<T>(items: T[]): T[][] {
  const parts: T[][] = [[]];
  let bytes = 0;
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item));
    if (bytes + size > partBytesMax && parts.at(-1)!.length > 0) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(item);
    bytes += size;
  }
  return parts;
}

export function versionOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}
