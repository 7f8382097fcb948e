/** `GET /v1/beacons`: the definitions in force, and for one agent how its beacons are. A part of the API of `api.ts`. */
import type { FromSchema } from "json-schema-to-ts";
import { severities } from "./event.ts";

const string = { type: "string" } as const;
const integer = { type: "integer" } as const;

export const beaconStates = ["starting", "watching", "degraded", "failed"] as const;

/** Of the whole fleet, or of one agent. */
export const beaconsQuery = {
  type: "object",
  properties: { agent: { type: "string", maxLength: 63, description: "the beacons of this agent, its local ones too, and how each is" } },
  additionalProperties: false,
} as const;

export const beaconView = {
  type: "object",
  properties: {
    name: string,
    type: string,
    description: string,
    severity: { enum: severities },
    targets: { type: "array", items: string },
    file: { ...string, description: "the master's, that the definition stands in; none: it is the agent's own" },
    agents: { ...integer, description: "how many accepted agents are to have it" },
    state: { enum: beaconStates, description: "of one agent: as it was last told" },
    message: { ...string, description: "of one agent: what is the matter" },
    since: { ...string, description: "of one agent: since when it is so; RFC 3339, UTC, microseconds" },
  },
  required: ["name", "type"],
  additionalProperties: false,
} as const;
export type BeaconView = FromSchema<typeof beaconView>;

export const beaconsView = {
  type: "object",
  properties: {
    beacons: { type: "array", items: beaconView },
    problems: {
      type: "array",
      items: {
        type: "object",
        properties: { file: string, line: integer, column: integer, message: string },
        required: ["file", "line", "column", "message"],
        additionalProperties: false,
      },
    },
  },
  required: ["beacons", "problems"],
  additionalProperties: false,
} as const;
export type BeaconsView = FromSchema<typeof beaconsView>;
