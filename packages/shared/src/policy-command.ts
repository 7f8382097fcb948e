/**
 * Patterns of command lines: a list of words, each of which stands for one argument, from the program to the last one. Pure, and linear in
 * what it is given, since that comes from elsewhere.
 */
import type { FromSchema, JSONSchema } from "json-schema-to-ts";

export const commandPatternSchema = {
  anyOf: [
    { type: "string", minLength: 1, maxLength: 4096 },
    { type: "array", items: { type: "string", maxLength: 4096 }, minItems: 1, maxItems: 1_000 },
  ],
  title: "a command line, or a list of its words",
} as const satisfies JSONSchema;
export type CommandPattern = FromSchema<typeof commandPatternSchema>;

const shownMax = 200;

/**
 * Whether the pattern is one of this very command line: as many words, and each fits; `**` at the end takes any further ones. To `allow`, a
 * word that begins with a wildcard does not fit an option, since that would be more than was meant; to `deny`, it does, and a program that is
 * named without a slash is found in any directory.
 */
export function commandFits(pattern: CommandPattern, argv: readonly string[], side: "allow" | "deny"): boolean {
  const words = typeof pattern === "string" ? pattern.trim().split(/\s+/) : pattern;
  const isOpen = words.at(-1) === "**";
  const fixed = isOpen ? words.slice(0, -1) : words;
  if (isOpen ? argv.length < fixed.length : argv.length !== fixed.length) return false;
  return fixed.every((word, index) => {
    const argument = argv[index] ?? "";
    if (side === "allow") return !(/^[*?]/.test(word) && argument.startsWith("-")) && wildcardFits(word, argument);
    return (
      wildcardFits(word, argument) ||
      (index === 0 && !word.includes("/") && wildcardFits(word, argument.slice(argument.lastIndexOf("/") + 1)))
    );
  });
}

/** `*` stands for any text, `?` for one character; the whole of the text must fit. */
export function wildcardFits(pattern: string, text: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let here = 0; here < text.length;) {
    if (pattern[at] === "*") {
      star = at++;
      resume = here;
    } else if (at < pattern.length && (pattern[at] === "?" || pattern[at] === text[here])) {
      at++;
      here++;
    } else if (star >= 0) {
      at = star + 1;
      here = ++resume;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}

/** A command line for a message: no two look the same, unless they are long. */
export function commandText(argv: readonly string[]): string {
  const text = JSON.stringify(argv);
  return text.length > shownMax ? `${text.slice(0, shownMax - 3)}...` : text;
}
