import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { test } from "node:test";
import fc from "fast-check";
import { Masking } from "./masking.ts";

const secret = `pa'ss "w\\rd" <&> é/?=`;
const masking = new Masking([secret]);

test("a secret is masked as it is and as programs write it", () => {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const written = [
    secret,
    JSON.stringify({ secret }),
    JSON.stringify({ log: JSON.stringify({ secret }) }),
    `${encodeURIComponent(secret)}&b=1`,
    new URLSearchParams({ secret }).toString().replace(/%27/g, "'"),
    `'${secret.replaceAll("'", `'\\''`)}'`,
    Buffer.from(secret).toString("hex"),
    base64(secret),
    base64(`u:${secret}`),
    base64(`user:${secret}\n`),
    base64(`users:${secret}`),
    `<a>${secret.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")}</a>`,
  ];
  for (const text of written) {
    const left = masking.mask(text);
    assert.match(left, /\*\*\*/, text);
    assert.ok(left.length < text.length - secret.length / 2, `${text} became ${left}`);
    assert.ok(masking.finds(text) && masking.finds(Buffer.from(`é${text}`)));
  }
  assert.equal(masking.mask(`it is ${secret}${secret}, ${secret}.`), "it is ******, ***.");
  assert.equal(masking.mask("nothing of it: pa'ss \"w\\."), "nothing of it: pa'ss \"w\\.");
  assert.equal(masking.mask(gzipSync(secret).toString("base64")).includes("***"), false, "what is packed is out of reach");
});

test("a text that breaks off inside of a secret loses what there is of it", () => {
  assert.equal(masking.mask(`cut: ${secret.slice(0, 12)}`), "cut: ***");
  assert.equal(masking.mask(`cut: ${secret.slice(0, 12)} no`), `cut: ${secret.slice(0, 12)} no`);
});

test("of a secret of many lines each is masked by itself, but for what is no secret: short ones and headers", () => {
  const key = ["-----BEGIN KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQ", "AASCBKcwggSjAgEAAoIBAQC7VJ", "short", "-----END KEY-----"];
  const left = new Masking([`${key.join("\n")}\n`]);
  assert.equal(left.mask(`+${key[1]}\n+${key[2]}\n+short`), "+***\n+***\n+short");
  assert.equal(left.mask(key.join("\r\n")), "***");
  assert.equal(left.mask(key[0]), key[0]);
});

test("keys are masked as well, and what is no text stays as it is", () => {
  const bytes = new Uint8Array([1, 2]);
  assert.deepEqual(masking.mask({ [secret]: [5, null, true, `${secret}!`], bytes }), { "***": [5, null, true, "***!"], bytes });
});

test("a short value is masked in a reply only: elsewhere it would take other things with it", () => {
  const short = new Masking(["abc\n", "abcdef", 'a"b', "", " \n"]);
  assert.equal(short.hasShort, true);
  assert.equal(short.finds("abcdef"), false);
  assert.equal(short.mask("abcdef abc"), "abcdef abc");
  assert.deepEqual(short.maskReply({ out: "abcdef abc", log: '{"a":"a\\"b"}' }), { out: "*** ***", log: '{"a":"***"}' });
  assert.equal(new Masking(["", "\n"]).maskReply("text"), "text", "nothing is masked for a secret that is nothing");
});

test("whatever is masked holds no secret any more", () => {
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.string({ minLength: 1, unit: "grapheme" }),
      fc.array(fc.string({ minLength: 3, unit: "grapheme" }), { minLength: 1 }),
      (value, around, secrets) => {
        fc.pre(secrets.every((each) => each.trim() !== "" && !each.includes("*")));
        const left = new Masking(secrets).maskReply([value, ...secrets.map((each) => `${around}${each}${around}`)]);
        for (const each of secrets) assert.ok(!JSON.stringify(left).includes(JSON.stringify(each).slice(1, -1)));
        assert.deepEqual(new Masking([]).maskReply(value), value);
      },
    ),
  );
});
