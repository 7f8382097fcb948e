/**
 * The system calls that change a path, as audit records name them: by number and architecture, and by name where auditd adds it (`log_format =
 * ENRICHED`). Those that audit rules with `-p wa` are about.
 */

/** `directories`: arguments that hold the directory which a relative name is seen from; `flags`: the argument that says what it is opened for. */
export interface Modification {
  directories: readonly string[];
  flags?: string;
}

const plain: Modification = { directories: [] };
const at: Modification = { directories: ["a0"] };

const modifications: Readonly<Record<string, Modification>> = {
  ...{ open: { directories: [], flags: "a1" }, openat: { directories: ["a0"], flags: "a2" }, openat2: at, creat: plain },
  ...{ truncate: plain, truncate64: plain, ftruncate: plain, ftruncate64: plain, fallocate: plain },
  ...{ rename: plain, renameat: { directories: ["a0", "a2"] }, renameat2: { directories: ["a0", "a2"] } },
  ...{ mkdir: plain, mkdirat: at, rmdir: plain, mknod: plain, mknodat: at },
  ...{ link: plain, linkat: { directories: ["a0", "a2"] }, symlink: plain, symlinkat: { directories: ["a1"] } },
  ...{ unlink: plain, unlinkat: at },
  ...{ chmod: plain, fchmod: plain, fchmodat: at, fchmodat2: at },
  ...{ chown: plain, fchown: plain, lchown: plain, chown32: plain, fchown32: plain, lchown32: plain, fchownat: at },
  ...{ setxattr: plain, lsetxattr: plain, fsetxattr: plain, removexattr: plain, lremovexattr: plain, fremovexattr: plain },
};

/** x86_64, aarch64 (riscv64 counts as it does) and i386, as `arch` has them. */
const x86 = {
  ...{ 2: "open", 76: "truncate", 77: "ftruncate", 82: "rename", 83: "mkdir", 84: "rmdir", 85: "creat", 86: "link", 87: "unlink" },
  ...{ 88: "symlink", 90: "chmod", 91: "fchmod", 92: "chown", 93: "fchown", 94: "lchown", 133: "mknod" },
  ...{ 188: "setxattr", 189: "lsetxattr", 190: "fsetxattr", 197: "removexattr", 198: "lremovexattr", 199: "fremovexattr" },
  ...{ 257: "openat", 258: "mkdirat", 259: "mknodat", 260: "fchownat", 263: "unlinkat", 264: "renameat", 265: "linkat" },
  ...{ 266: "symlinkat", 268: "fchmodat", 285: "fallocate", 316: "renameat2", 437: "openat2", 452: "fchmodat2" },
};
const generic = {
  ...{ 5: "setxattr", 6: "lsetxattr", 7: "fsetxattr", 14: "removexattr", 15: "lremovexattr", 16: "fremovexattr" },
  ...{ 33: "mknodat", 34: "mkdirat", 35: "unlinkat", 36: "symlinkat", 37: "linkat", 38: "renameat", 276: "renameat2" },
  ...{ 45: "truncate", 46: "ftruncate", 47: "fallocate", 52: "fchmod", 53: "fchmodat", 54: "fchownat", 55: "fchown" },
  ...{ 56: "openat", 437: "openat2", 452: "fchmodat2" },
};
const i386 = {
  ...{ 5: "open", 8: "creat", 9: "link", 10: "unlink", 14: "mknod", 15: "chmod", 16: "lchown", 38: "rename", 39: "mkdir" },
  ...{ 40: "rmdir", 83: "symlink", 92: "truncate", 93: "ftruncate", 94: "fchmod", 95: "fchown", 182: "chown" },
  ...{ 193: "truncate64", 194: "ftruncate64", 198: "lchown32", 207: "fchown32", 212: "chown32" },
  ...{ 226: "setxattr", 227: "lsetxattr", 228: "fsetxattr", 235: "removexattr", 236: "lremovexattr", 237: "fremovexattr" },
  ...{ 295: "openat", 296: "mkdirat", 297: "mknodat", 298: "fchownat", 301: "unlinkat", 302: "renameat", 303: "linkat" },
  ...{ 304: "symlinkat", 306: "fchmodat", 324: "fallocate", 353: "renameat2", 437: "openat2", 452: "fchmodat2" },
};
const numbers = new Map<string, Readonly<Record<string, string>>>([
  ["c000003e", x86],
  ["c00000b7", generic],
  ["c00000f3", generic],
  ["40000003", i386],
]);

/** Undefined: it changes no path, or is not known here. */
export function modification(call: {
  arch: string | undefined;
  number: string | undefined;
  name: string | undefined;
}): Modification | undefined {
  const byNumber = numbers.get(call.arch ?? "");
  const name = byNumber === undefined ? call.name : byNumber[call.number ?? ""];
  return name === undefined || !Object.hasOwn(modifications, name) ? undefined : modifications[name];
}
