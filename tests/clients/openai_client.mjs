// OpenAI's Node client against `tpo serve`: its own parsing is the judge. Run by tests/clients/run.
import assert from "node:assert/strict";
import OpenAI from "openai";

const url = process.argv[2];
const client = new OpenAI({ baseURL: url, apiKey: "unused", maxRetries: 0 });
const messages = [{ role: "user", content: "How do I take care of a wooden table?" }];

async function metric(sample) {
  const reply = await fetch(url.replace(/\/v1$/, "/metrics"));
  const line = (await reply.text()).split("\n").find((line) => line.startsWith(`${sample} `));
  return line ? Number(line.split(" ").pop()) : 0;
}

const body = { model: "tpo-d1-n3", messages, seed: 3 };
const whole = await client.chat.completions.create({ ...body, n: 2, tpo: { trajectory: true } });
assert.deepEqual(whole.choices.map((choice) => choice.index), [0, 1]);
assert.equal(whole.tpo.trajectory.candidates.length, 6);
assert.ok(whole.choices[0].tpo.score >= whole.choices[1].tpo.score);

let text = "";
let scored = 0;
for await (const chunk of await client.chat.completions.create({ ...body, stream: true })) {
  text += chunk.choices[0]?.delta?.content ?? "";
  scored += chunk.tpo?.event === "scored" ? 1 : 0;
}
assert.equal(text, whole.choices[0].message.content);
assert.equal(scored, 6);

const helper = client.chat.completions.stream(body);
assert.equal(await helper.finalContent(), text);

const response = await client.responses.create({ model: "bon-3", input: "Why is the sky blue?" });
assert.ok(response.output_text.length > 0);
let streamed = "";
for await (const event of await client.responses.create({ model: "bon-3", input: "Why?", stream: true })) {
  if (event.type === "response.output_text.delta") streamed += event.delta;
  if (event.type === "response.completed") assert.equal(event.response.output[0].content[0].text, streamed);
}
assert.ok(streamed.length > 0);

await assert.rejects(client.chat.completions.create({ ...body, model: "gpt-4o" }), OpenAI.NotFoundError);
await assert.rejects(client.chat.completions.create({ ...body, temperature: 9 }), OpenAI.BadRequestError);
const slow = { ...body, tpo: { iterations: 16 } };
await assert.rejects(client.chat.completions.create(slow, { timeout: 200 }), OpenAI.APIConnectionTimeoutError);
const controller = new AbortController();
setTimeout(() => controller.abort(), 100);
await assert.rejects(
  client.chat.completions.create(slow, { signal: controller.signal }),
  OpenAI.APIUserAbortError,
);
for (let i = 0; (await metric("tpo_in_flight")) !== 0; i++) {
  assert.ok(i < 500, "requests stay in flight");
  await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log("openai for Node: ok");
