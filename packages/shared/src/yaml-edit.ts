/**
 * Writes YAML: changes keys of a text and leaves its comments and order as they are, or writes a value out.
 */
import { isMap, parseDocument, stringify } from "yaml";
import { errorText, NeedfireError } from "./errors.ts";

/** `text` with the keys of `settings` set: `a.b` is `b` in the map `a`. Throws `CONFIG_INVALID` when the text is no YAML map. */
export function setYamlKeys(text: string, settings: Record<string, unknown>): string {
  const document = parseDocument(text);
  if (document.errors.length > 0 || (document.contents !== null && !isMap(document.contents))) {
    throw new NeedfireError(
      "CONFIG_INVALID",
      `the present configuration is not a YAML map: ${document.errors[0]?.message ?? "found something else"}`,
    );
  }
  for (const [key, value] of Object.entries(settings)) {
    try {
      document.setIn(key.split("."), document.createNode(value));
    } catch (cause) {
      throw new NeedfireError("CONFIG_INVALID", `the present configuration cannot take ${key}: ${errorText(cause)}`);
    }
  }
  return document.toString();
}

/** A value as YAML, each line of a text as it is; what is read back is the same value. */
export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}
