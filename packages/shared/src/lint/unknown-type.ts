/** Event types in `on` that nobody makes. A type may be people's own, so most of what is not known is fine. */
import { isReservedType, reservedPrefixes } from "../event.ts";
import { eventTypes, eventTypesOn } from "../event-types.ts";
import { didYouMean } from "../schema.ts";

const known = Object.keys(eventTypes).map((type) => ({ type, ...partsOf(type) }));
const firsts = [...new Set(known.map(({ first }) => first))];

/** Why nothing of this type (or glob) is heard, as far as that can be said; undefined: it may be. */
export function unknownType(pattern: string): string | undefined {
  if (eventTypesOn([pattern]).length > 0) return undefined;
  if (isReservedType(pattern)) {
    const prefix = reservedPrefixes.find((each) => pattern.startsWith(each))!;
    const hint = didYouMean(
      pattern,
      known.map(({ type }) => type),
    );
    return `nobody makes "${pattern}": types under "${prefix}" are the master's own${hint}`;
  }
  const meant = nearOf(partsOf(pattern));
  return meant === undefined ? undefined : `Needfire makes no "${pattern}"; did you mean "${meant}"?`;
}

/** Nearly right in one of its two parts; with more allowed, people's own types would be taken for misspelt ones. */
function nearOf({ first, rest }: Parts): string | undefined {
  const near = known.find((type) => (type.first === first && isNear(rest, type.rest)) || (type.rest === rest && isNear(first, type.first)));
  if (near !== undefined) return near.type;
  const isGlob = /[*?{}]/.test(rest);
  const nearFirst = isGlob && !firsts.includes(first) ? firsts.find((each) => isNear(first, each)) : undefined;
  return nearFirst === undefined ? undefined : `${nearFirst}.${rest}`;
}

interface Parts {
  first: string;
  rest: string;
}

function partsOf(type: string): Parts {
  const dot = type.indexOf(".");
  return { first: type.slice(0, Math.max(0, dot)), rest: type.slice(dot + 1) };
}

function isNear(word: string, meant: string): boolean {
  return word !== meant && didYouMean(word, [meant]) !== "";
}
