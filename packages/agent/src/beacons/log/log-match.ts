/** Which pattern of a `log` beacon a line fits, and what event comes of that. Pure. */
import type { LogBeacon } from "@needfire/shared/beacons/log";
import type { Severity } from "@needfire/shared/event";
import { compilePattern } from "@needfire/shared/pattern";

/** Of a named group in an event. */
const fieldCharactersMax = 4_096;

export interface LineMatch {
  type: string;
  severity?: Severity;
  pattern?: string;
  fields: Record<string, string>;
}

export function compileLineMatcher({
  patterns,
  ignore,
  event,
}: Pick<LogBeacon, "patterns" | "ignore" | "event">): (text: string) => LineMatch | undefined {
  const ignored = ignore.map(compilePattern);
  const compiled = patterns.map(({ match, exclude, ...told }) => ({
    find: compilePattern(match),
    exclude: exclude === undefined ? undefined : compilePattern(exclude),
    type: told.event ?? event,
    told: {
      ...(told.severity === undefined ? {} : { severity: told.severity }),
      ...(told.name === undefined ? {} : { pattern: told.name }),
    },
  }));
  return (text) => {
    for (const { find, exclude, type, told } of compiled) {
      const groups = find.find(text);
      if (groups === undefined || exclude?.test(text) === true) continue;
      if (ignored.some((one) => one.test(text))) return undefined;
      const fields = Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, value.slice(0, fieldCharactersMax)]));
      return { type, ...told, fields };
    }
    return undefined;
  };
}
