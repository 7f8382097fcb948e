/**
 * Text from hosts, made safe and measured for a terminal. What comes from a host is hostile data: a path may hold escape sequences
 * that repaint the screen, or bidi marks that turn a line around. Nothing is printed that did not pass `visible` or `jsonText`.
 */

/** Controls (C0, DEL, C1), format characters (bidi, zero width), lone surrogates, private and unassigned ones, line separators. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/gu;
const shortNames: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The text on one line, with everything that a terminal would act on instead of show written out: `\x1b`, `\u202e`, `\n`. */
export function visible(text: string): string {
  return text.replace(unprintable, (character) => shortNames[character] ?? escaped(character.codePointAt(0)!));
}

/** The same, but a tab stays a tab: for file content, which is shown by lines. */
export function visibleLine(text: string): string {
  return text.split("\t").map(visible).join("\t");
}

function escaped(code: number): string {
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\u{${code.toString(16)}}`;
}

/** A value as JSON on one line. What JSON itself does not escape (C1, bidi marks) is written as `\uXXXX`: the same value, and safe to show. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(unprintable, (character) =>
    character
      .split("")
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
      .join(""),
  );
}

/** The columns that a text takes in a terminal: none for combining marks, two for wide characters. For text that is already visible. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

function characterWidth(character: string): number {
  if (/\p{M}/u.test(character)) return 0;
  return /[\u1100-\u115f\u2e80-\u303e\u3041-\u4dbf\u4e00-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
    character,
  )
    ? 2
    : 1;
}

/** The text in at most `width` columns. A path loses its middle, so that its name stays; other text loses its end. */
export function fit(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  if (width <= 1) return "…".slice(0, width);
  const tail = text.includes("/") ? Math.floor(((width - 1) * 2) / 3) : 0;
  const characters = Array.from(text);
  return `${take(characters, width - 1 - tail).join("")}…${take(characters.toReversed(), tail).toReversed().join("")}`;
}

function take(characters: string[], width: number): string[] {
  let used = 0;
  const end = characters.findIndex((character) => (used += characterWidth(character)) > width);
  return end < 0 ? characters : characters.slice(0, end);
}

/** A visible text in lines of at most `width` columns, broken at spaces; a word that is longer has a line of its own. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && displayWidth(last) + 1 + displayWidth(word) <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** The text with spaces up to `width` columns. */
export function pad(text: string, width: number, align: "left" | "right" = "left"): string {
  const spaces = " ".repeat(Math.max(0, width - displayWidth(text)));
  return align === "left" ? text + spaces : spaces + text;
}

/** `1 test`, `2 tests`. */
export function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
