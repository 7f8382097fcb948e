/** A command for people to read: each argument as one would type it in a shell. Never to be given to one. */
export function commandLine(argv: readonly string[]): string {
  return argv.map((text) => (/^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)).join(" ");
}
