/**
 * What a monitoring plugin says, as the guidelines of the monitoring plugins have it: a first line, further lines, and after a bar the
 * performance data `'label'=value[unit];[warning];[critical];[min];[max]`. Pure. A plugin's output is hostile: lengths are capped, and what is
 * no performance data is passed over.
 */
import { type CheckState, checkStates, type PerformanceData } from "@needfire/shared/beacons/exec";

const outputCharactersMax = 1_000;
const longOutputCharactersMax = 8_192;
const figuresMax = 200;
const performanceCharactersMax = 32_768;
const labelCharactersMax = 200;
const rangeCharactersMax = 100;

export interface PluginOutput {
  output: string;
  long_output?: string;
  performance: PerformanceData;
}

/** Codes beyond those of the four states mean that the plugin does not know. */
export function stateOf(exitCode: number | null): CheckState {
  return checkStates[exitCode ?? 3] ?? "unknown";
}

export function parsePlugin(text: string): PluginOutput {
  const [first = "", ...further] = text.trimEnd().split("\n");
  const [output, firstFigures] = atBar(first);
  // A bar in the further lines begins performance data that go on to the end.
  const [long, furtherFigures] = atBar(further.join("\n"));
  return {
    output: cut(output.trim(), outputCharactersMax),
    ...(long.trim() === "" ? {} : { long_output: cut(long.trimEnd(), longOutputCharactersMax) }),
    performance: parsePerformance(`${firstFigures} ${furtherFigures}`.slice(0, performanceCharactersMax)),
  };
}

function atBar(text: string): [string, string] {
  const bar = text.indexOf("|");
  return bar === -1 ? [text, ""] : [text.slice(0, bar), text.slice(bar + 1)];
}

const label = /\s*(?:'((?:[^']|'')*)'|([^\s='][^\s=]*))=/y;
const fields = /([^\s;]*)(?:;([^\s;]*))?(?:;([^\s;]*))?(?:;([^\s;]*))?(?:;([^\s;]*))?/y;
const valueOf = /^([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)([^\d;'"]*)$/;

export function parsePerformance(text: string): PerformanceData {
  const figures = new Map<string, PerformanceData[string]>();
  let at = 0;
  while (at < text.length && figures.size < figuresMax) {
    label.lastIndex = at;
    const named = label.exec(text);
    if (named !== null) {
      fields.lastIndex = label.lastIndex;
      const figure = figureOf(fields.exec(text));
      const name = (named[1]?.replaceAll("''", "'") ?? named[2] ?? "").trim();
      if (figure !== undefined && name !== "") figures.set(cut(name, labelCharactersMax), figure);
      at = fields.lastIndex;
    }
    // What is left of a figure, or no figure at all.
    const space = text.slice(at + (named === null ? 1 : 0)).search(/\s/);
    at = space === -1 ? text.length : at + (named === null ? 1 : 0) + space;
  }
  return Object.fromEntries(figures);
}

function figureOf(found: RegExpExecArray | null): PerformanceData[string] | undefined {
  const [, value = "", warning = "", critical = "", min = "", max = ""] = found ?? [];
  const measured = value === "U" ? ["", "", ""] : valueOf.exec(value);
  if (measured === null) return undefined;
  return {
    value: value === "U" ? null : Number(measured[1]),
    unit: measured[2]!.slice(0, labelCharactersMax),
    ...(warning === "" ? {} : { warning: cut(warning, rangeCharactersMax) }),
    ...(critical === "" ? {} : { critical: cut(critical, rangeCharactersMax) }),
    ...(isNumber(min) ? { min: Number(min) } : {}),
    ...(isNumber(max) ? { max: Number(max) } : {}),
  };
}

function isNumber(text: string): boolean {
  return text !== "" && Number.isFinite(Number(text));
}

export function cut(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1)}…`;
}
