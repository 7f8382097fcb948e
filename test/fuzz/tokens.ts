/** Where the values of a MessagePack frame begin and end, as far as it makes sense; of its own, so that no mistake of ours hides in it. */

/** `body`: where its content, or the first value in it, begins. `small`: its count is in its first byte. */
export interface Token {
  at: number;
  body: number;
  end: number;
  kind: "text" | "list" | "map" | "other";
  small: boolean;
}

const depthMax = 200;
/** The first ones of a frame that was swollen. */
const tokensMax = 1_000;

export function tokensOf(frame: Buffer): Token[] {
  const tokens: Token[] = [];
  try {
    read(frame, 0, tokens, 0);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // it ends early, as mutants do, or is large: what was found will do
  }
  return tokens;
}

/** Where the value at `at` ends. */
function read(frame: Buffer, at: number, tokens: Token[], depth: number): number {
  const token: Token = { at, body: at + 1, end: at + 1, kind: "other", small: false };
  if (depth > depthMax || tokens.length >= tokensMax) throw new RangeError("enough");
  const first = frame.readUInt8(at);
  tokens.push(token);
  let inside = 0;
  if (first >= 0x80 && first < 0x90) [token.kind, token.small, inside] = ["map", true, 2 * (first & 0x0f)];
  else if (first >= 0x90 && first < 0xa0) [token.kind, token.small, inside] = ["list", true, first & 0x0f];
  else if (first >= 0xa0 && first < 0xc0) [token.kind, token.end] = ["text", token.body + (first & 0x1f)];
  else if (first >= 0xd9 && first <= 0xdb) [token.kind, token.end] = ["text", sized(frame, token, 1 << (first - 0xd9))];
  else if (first >= 0xc4 && first <= 0xc6) token.end = sized(frame, token, 1 << (first - 0xc4));
  else if (first === 0xdc || first === 0xdd) [token.kind, inside] = ["list", counted(frame, token, first === 0xdc ? 2 : 4)];
  else if (first === 0xde || first === 0xdf) [token.kind, inside] = ["map", 2 * counted(frame, token, first === 0xde ? 2 : 4)];
  else token.end = token.body + (fixedBytes[first] ?? 0);
  if (token.kind === "list" || token.kind === "map") {
    token.end = token.body;
    for (let count = 0; count < inside; count++) token.end = read(frame, token.end, tokens, depth + 1);
  }
  if (token.end > frame.length) throw new RangeError("early");
  return token.end;
}

const fixedBytes: Record<number, number> = { 0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8 };

function sized(frame: Buffer, token: Token, bytes: number): number {
  const length = frame.readUIntBE(token.body, bytes);
  token.body += bytes;
  return token.body + length;
}

function counted(frame: Buffer, token: Token, bytes: number): number {
  const count = frame.readUIntBE(token.body, bytes);
  token.body += bytes;
  return count;
}
