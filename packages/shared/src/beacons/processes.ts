/** Processes as events name them. */

/** The few that matter most. `which`: those, in words. */
export function topProcesses<const W extends string>(which: W) {
  return {
    type: "array",
    description: `those ${which}`,
    items: {
      type: "object",
      properties: {
        pid: { type: "integer" },
        name: { type: "string" },
        user: { type: "string" },
        cpu_percent: { type: "number", description: "of one core, while the event was made" },
        memory_bytes: { type: "integer", description: "resident" },
      },
      required: ["pid", "name", "user"],
      additionalProperties: false,
    },
  } as const;
}
