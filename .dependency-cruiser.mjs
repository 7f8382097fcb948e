/**
 * Who may import whom (ARCHITECTURE: "Rooms"). Kept by dependency-cruiser with swc as its parser: TypeScript 7 has no JavaScript API
 * (docs/decisions/0002-checks.md). An `import type` counts like any other; an import("...") inside a type is what the linter forbids.
 */

/** Files that may use what the house does not: they stand outside of it and look in. */
const tests = ["\\.(test|conformance)\\.ts$", "[-/]fixture\\.ts$", "^packages/[^/]+/test/", "^test/", "^bench/"];

/**
 * One importer for each heavy dependency: what it does is hidden behind one module, and can be replaced there.
 *
 * @param {string} name @param {string} modules @param {string[]} importers @param {string} [why]
 */
function onlyFrom(name, modules, importers, why = "its one importer hides it from the rest") {
  return {
    name: `only-there-${name}`,
    comment: `${name}: ${why}`,
    severity: "error",
    from: { path: "^(packages|scripts|test|bench)/", pathNot: [...tests, ...importers] },
    to: { path: modules },
  };
}

/** @param {string} name */
const npm = (name) => `(^|/)node_modules/${name}/`;

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    {
      name: "no-cycles",
      comment: "A cycle is one module in two files: join them, or move what both need.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "not-found",
      comment: "This import leads nowhere: a typing error, or a package that is not in package.json.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "not-declared",
      comment: "This package is not in the package.json of the workspace that imports it.",
      severity: "error",
      from: { path: "^packages/[^/]+/(src|bin)/", pathNot: tests },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"], dependencyTypesNot: ["type-only"] },
    },
    {
      name: "shared-imports-no-workspace",
      comment: "shared is what both ends agree on: it knows none of them.",
      severity: "error",
      from: { path: "^packages/shared/src/" },
      to: { path: "^(packages/(?!shared/)|scripts/|test/|bench/)" },
    },
    {
      name: "shared-does-no-io",
      comment:
        "shared is pure: values in, values out. Of Node it may use what computes (node:crypto, node:buffer, node:util), and load its own files late (node:module). But host/, which runs programs for agent and master.",
      severity: "error",
      from: { path: "^packages/shared/src/", pathNot: [...tests, "^packages/shared/src/host/"] },
      to: { dependencyTypes: ["core"], pathNot: "^(node:)?(crypto|buffer|util|module)$" },
    },
    {
      name: "host-is-for-those-who-act",
      comment: "shared/host does I/O: only the agent and the master use it, and nothing else of shared knows it.",
      severity: "error",
      from: { path: "^packages/", pathNot: [...tests, "^packages/(agent|master)/src/", "^packages/shared/src/host/"] },
      to: { path: "^packages/shared/src/host/" },
    },
    {
      name: "rooms-import-only-shared",
      comment: "agent, master, cli and console import only shared, never each other.",
      severity: "error",
      from: { path: "^packages/(agent|master|cli|console)/", pathNot: [...tests, "^packages/cli/src/commands/daemons\\.ts$"] },
      to: { path: "^(packages/|scripts/|test/|bench/)", pathNot: "^packages/(shared|$1)/" },
    },
    {
      name: "cli-starts-the-daemons",
      comment: "The one door between rooms: `needfire master` and `needfire agent` load the main of theirs, when it is needed.",
      severity: "error",
      from: { path: "^packages/cli/src/commands/daemons\\.ts$" },
      to: { path: "^packages/(agent|master)/", pathNot: "^packages/(agent|master)/src/main\\.ts$" },
    },
    {
      name: "cli-starts-the-daemons-late",
      comment: "A static import would load ZeroMQ and SQLite for every `needfire events list`.",
      severity: "error",
      from: { path: "^packages/cli/src/commands/daemons\\.ts$" },
      to: { path: "^packages/(agent|master)/", dependencyTypesNot: ["dynamic-import"] },
    },
    {
      name: "nobody-imports-tests",
      comment: "Tests, benchmarks and scripts stand outside of the house.",
      severity: "error",
      from: { path: "^packages/[^/]+/(src|bin)/", pathNot: tests },
      to: { path: tests },
    },
    onlyFrom(
      "zeromq",
      npm("zeromq"),
      ["^packages/[^/]+/src/link\\.ts$", "^packages/master/src/zap\\.ts$"],
      "one module owns a socket and its writer queue",
    ),
    onlyFrom("sqlite", "^(node:)?sqlite$", ["^packages/agent/src/spool-(file|salvage)\\.ts$", "^packages/master/src/(journal|store)/"]),
    onlyFrom("chokidar", npm("chokidar"), [
      "^packages/agent/src/beacons/file/[^/]*\\.ts$",
      "^packages/master/src/watch-definitions\\.ts$",
      "^packages/cli/src/watch\\.ts$",
    ]),
    onlyFrom("execa", npm("execa"), ["^packages/shared/src/host/program\\.ts$"]),
    onlyFrom("msgpackr", npm("msgpackr"), ["^packages/shared/src/pack\\.ts$", "^packages/master/src/(journal|store)/"]),
    onlyFrom("cel", npm("@marcbachmann/cel-js"), ["^packages/shared/src/cel\\.ts$"]),
    onlyFrom("ajv", npm("ajv"), ["^packages/shared/src/schema(|-compile)\\.ts$", "^packages/shared/src/schema-compiled\\.cjs$"]),
    onlyFrom("yaml", npm("yaml"), ["^packages/shared/src/yaml-(file|edit)\\.ts$"]),
    onlyFrom("re2js", npm("re2js"), ["^packages/shared/src/pattern\\.ts$"]),
    onlyFrom("croner", npm("croner"), ["^packages/shared/src/cron\\.ts$"]),
  ],
  options: {
    parser: "swc",
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)node_modules/.*/node_modules/" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "types", "node", "default"],
      extensions: [".ts", ".js", ".json"],
    },
  },
};
