/**
 * What actions of the user's own are called: `local.NAME` runs on hosts, `master.NAME` on the master. The side is in the name, since there is many a
 * place that has the name only. What they do is in a file (own-action.ts). Pure.
 */

/** Which side performs what is called so. */
const sides = { local: "agent", master: "master" } as const;
type Prefix = keyof typeof sides;

export type OwnActionName = `${Prefix}.${string}`;
export const ownActionPrefixes = Object.keys(sides) as Prefix[];
export const ownActionPattern = `^(${ownActionPrefixes.join("|")})\\.[a-z0-9]([a-z0-9_-]{0,58}[a-z0-9])?$`;
const grammar = new RegExp(ownActionPattern);

export function isOwnActionName(name: string): name is OwnActionName {
  return grammar.test(name);
}

export function ownActionSide(name: OwnActionName): (typeof sides)[Prefix] {
  return sides[name.slice(0, name.indexOf(".")) as Prefix];
}

/** The name of the file that says what an action is. It fits the name's grammar, so it leads nowhere else. */
export function ownActionFile(name: OwnActionName): string {
  return `${name.slice(name.indexOf(".") + 1)}.yaml`;
}
