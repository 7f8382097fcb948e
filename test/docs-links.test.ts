/** Links in the documents: a page that was moved, or a heading that was changed, must not leave one that leads nowhere. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const root = dirname(import.meta.dirname);
const pages = ["README.md", ...globSync("docs/**/*.md", { cwd: root })];

test("every link from a document to a file or a heading of the project leads there", () => {
  const broken: string[] = [];
  let links = 0;
  for (const page of pages) {
    for (const [, target = ""] of prose(join(root, page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      links++;
      if (!leadsSomewhere(page, target)) broken.push(`${page}: ${target}`);
    }
  }
  assert.ok(links > 100, `only ${links} links were found: the pattern does not fit the documents any more`);
  assert.deepEqual(broken, []);
});

function leadsSomewhere(page: string, target: string): boolean {
  const [path = "", anchor] = target.split("#");
  const file = path === "" ? join(root, page) : join(root, dirname(page), path);
  if (!existsSync(file) || relative(root, file).startsWith("..")) return false;
  return anchor === undefined || (statSync(file).isFile() && anchors(file).has(anchor));
}

/** As the sites that show Markdown make them: a heading's second use gets `-1`. */
function anchors(file: string): Set<string> {
  const found = new Set<string>();
  for (const [, heading = ""] of prose(file).matchAll(/^#+ (.*)$/gm)) {
    const slug = heading
      .replaceAll(/\]\([^)]*\)/g, "]")
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-");
    let name = slug;
    for (let count = 1; found.has(name); count++) name = `${slug}-${count}`;
    found.add(name);
  }
  return found;
}

/** Without code, in which a bracket is no link and `#` no heading. */
function prose(file: string): string {
  return readFileSync(file, "utf8").replaceAll(/^```[\s\S]*?^```/gm, "");
}
