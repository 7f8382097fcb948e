/** For tests: small real packages, and repositories of them. Never part of the program. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Made {
  name: string;
  version: string;
  /** Further fields: `Depends: one`. */
  more?: string;
  /** What runs when it is installed. */
  script?: string;
}

/** A flat repository of .deb files in `directory`. `label`: what its Release file says. */
export function debRepository(directory: string, made: readonly Made[], label: { label: string; suite: string }): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const { name, version, more, script } of made) {
    const folder = mkdtempSync(join(tmpdir(), "needfire-deb-"));
    mkdirSync(join(folder, "DEBIAN"));
    const lines = [`Package: ${name}`, `Version: ${version}`, "Architecture: all", "Maintainer: none", "Description: for a test", more];
    writeFileSync(join(folder, "DEBIAN/control"), `${lines.filter((line) => line !== undefined).join("\n")}\n`);
    if (script !== undefined) writeFileSync(join(folder, "DEBIAN/postinst"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    mkdirSync(join(folder, "usr/share", name), { recursive: true });
    writeFileSync(join(folder, "usr/share", name, "version"), version);
    execFileSync("dpkg-deb", ["--build", "--root-owner-group", "-Znone", folder, join(directory, `${name}_${version}.deb`)], {
      stdio: "ignore",
    });
    rmSync(folder, { recursive: true });
  }
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  const entries = readdirSync(directory).map((file) => {
    const bytes = readFileSync(join(directory, file));
    const fields = execFileSync("dpkg-deb", ["--field", join(directory, file)], { encoding: "utf8" }).trim();
    return `${fields}\nFilename: ./${file}\nSize: ${bytes.length}\nSHA256: ${sha256(bytes)}\n`;
  });
  const index = Buffer.from(entries.join("\n"));
  writeFileSync(join(directory, "Packages"), index);
  const release = [`Origin: Debian`, `Label: ${label.label}`, `Suite: ${label.suite}`, "Version: 12", `Date: ${new Date().toUTCString()}`];
  writeFileSync(join(directory, "Release"), `${release.join("\n")}\nSHA256:\n ${sha256(index)} ${index.length} Packages\n`);
}

/** A repository of .rpm files; those of `security` are published as such. */
export function rpmRepository(directory: string, made: readonly Made[], security: readonly Made[] = []): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), "needfire-rpm-"));
  for (const { name, version, more = "" } of [...made, ...security]) {
    const spec = join(work, `${name}.spec`);
    const head = `Name: ${name}\nVersion: ${version}\nRelease: 1\nSummary: for a test\nLicense: none\nBuildArch: noarch\nAutoReqProv: no\n${more}\n`;
    writeFileSync(spec, `${head}%description\nfor a test\n%files\n`);
    execFileSync("rpmbuild", ["-bb", "--define", `_topdir ${work}`, "--define", `_rpmdir ${directory}`, spec], { stdio: "ignore" });
  }
  execFileSync("createrepo_c", ["--quiet", directory], { stdio: "ignore" });
  if (security.length > 0) {
    const updates = security.map(
      ({ name, version }) =>
        `<update from="none" status="final" type="security" version="1"><id>FIX-${name}</id><title>${name}</title><severity>Important</severity>
        <issued date="2026-01-01 00:00:00"/><pkglist><collection short="c"><name>c</name>
        <package name="${name}" version="${version}" release="1" epoch="0" arch="noarch"><filename>${name}-${version}-1.noarch.rpm</filename></package>
        </collection></pkglist></update>`,
    );
    const file = join(work, "updateinfo.xml");
    writeFileSync(file, `<?xml version="1.0" encoding="UTF-8"?><updates>${updates.join("")}</updates>`);
    execFileSync("modifyrepo_c", ["--mdtype=updateinfo", file, join(directory, "repodata")], { stdio: "ignore" });
  }
  rmSync(work, { recursive: true });
}
