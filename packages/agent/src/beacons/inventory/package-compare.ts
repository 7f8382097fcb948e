/** What differs between two looks at the packages. Pure. */
import type { PackageOne, PackageUpgraded } from "@needfire/shared/beacons/package";
import type { Installed } from "./package-sources.ts";

export type PackageDifference = { key: string; versions: string[] | undefined } & (
  | { kind: "installed" | "removed"; data: PackageOne }
  | { kind: "upgraded"; data: PackageUpgraded }
);

/** In the order of the names. `versions`: what is to be known of the package from now on. */
export function comparePackages(known: ReadonlyMap<string, string[]>, { versions, unsettled, cut }: Installed): PackageDifference[] {
  const keys = new Set([...known.keys(), ...versions.keys()]);
  return [...keys].toSorted().flatMap((key) => {
    if (unsettled.has(key)) return [];
    const after = versions.get(key);
    // Of a table that is too long nobody knows whether it is gone or left out.
    return after === undefined && cut ? [] : differencesOf(key, known.get(key) ?? [], after ?? []);
  });
}

/** A package may be there in several versions at once, as kernels are. */
function differencesOf(key: string, before: string[], after: string[]): PackageDifference[] {
  const added = after.filter((version) => !before.includes(version));
  const gone = before.filter((version) => !after.includes(version));
  const space = key.lastIndexOf(" ");
  const named = { name: key.slice(0, space), architecture: key.slice(space + 1) };
  const versions = after.length === 0 ? undefined : after;
  const pairs = Math.min(added.length, gone.length);
  return [
    ...gone.slice(0, pairs).map((version, at) => {
      return { key, versions, kind: "upgraded" as const, data: { ...named, version: added[at]!, before: version } };
    }),
    ...added.slice(pairs).map((version) => ({ key, versions, kind: "installed" as const, data: { ...named, version } })),
    ...gone.slice(pairs).map((version) => ({ key, versions, kind: "removed" as const, data: { ...named, version } })),
  ];
}
