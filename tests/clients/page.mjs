// The live page of `tpo serve` in Chromium without a window: three sizes, light and dark. Run by tests/clients/run.
//
//   node page.mjs URL CHROMIUM FOLDER
//
// A picture of each is left in FOLDER. The browser is spoken to over pipes, so that nothing but it is needed.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const [base, chromium, folder] = process.argv.slice(2);
const server = base.replace(/\/v1$/, "");
const HOSTILE = `How do I oil a table? </script><script>window.pwned = 1</script><img src=x onerror="window.pwned = 1">`;
const SIZES = [[1440, 900], [1280, 800], [375, 812]];

async function ask(content, model, more) {
  const reply = await fetch(`${base}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content }], ...more }),
  });
  return reply;
}

class Browser {
  constructor() {
    this.profile = mkdtempSync(path.join(tmpdir(), "page-"));
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
      "--disable-background-networking", "--disable-features=IsolateSandboxedIframes", "--force-device-scale-factor=1",
      `--user-data-dir=${this.profile}`, "about:blank"];
    this.child = spawn(chromium, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    this.waiting = new Map();
    this.next = 1;
    this.problems = [];
    this.contexts = new Map();
    let rest = "";
    this.child.stdio[4].on("data", (bytes) => {
      const messages = (rest + bytes).split("\0");
      rest = messages.pop();
      messages.forEach((message) => this.received(JSON.parse(message)));
    });
  }

  received({ id, method, params, result, error }) {
    if (id) {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) reject(new Error(error.message));
      else resolve(result);
    } else if (method === "Runtime.exceptionThrown") {
      this.problems.push(JSON.stringify(params.exceptionDetails));
    } else if (method === "Log.entryAdded" && params.entry.level === "error") {
      this.problems.push(`${params.entry.text} ${params.entry.url ?? ""}`);
    } else if (method === "Runtime.executionContextCreated") {
      this.contexts.set(params.context.id, params.context.auxData.frameId);
    } else if (method === "Runtime.executionContextsCleared") {
      this.contexts.clear();
    }
  }

  send(method, params = {}) {
    const id = this.next++;
    const message = JSON.stringify({ id, method, params, sessionId: this.session });
    this.child.stdio[3].write(`${message}\0`);
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  async open() {
    const { targetInfos } = await this.send("Target.getTargets");
    const page = targetInfos.find((target) => target.type === "page");
    const { sessionId } = await this.send("Target.attachToTarget", { targetId: page.targetId, flatten: true });
    this.session = sessionId;
    for (const domain of ["Page", "Runtime", "Log"]) await this.send(`${domain}.enable`);
  }

  async evaluate(expression, contextId) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression, contextId, returnByValue: true, awaitPromise: true,
    });
    assert.ok(!exceptionDetails, JSON.stringify(exceptionDetails));
    return result.value;
  }

  async until(what, expression, context = () => undefined) {
    for (let tries = 0; tries < 200; tries++) {
      try {
        if (await this.evaluate(expression, context())) return;
      } catch (error) {
        if (tries === 199) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${what}: ${await this.evaluate("document.body.innerText")}`);
  }

  /// The context of the frame in the page.
  async inner() {
    const { frameTree } = await this.send("Page.getFrameTree");
    const frame = frameTree.childFrames?.[0]?.frame.id;
    return [...this.contexts].find(([, of]) => of === frame)?.[0];
  }

  async close() {
    await this.send("Browser.close").catch(() => {});
    this.child.kill();
    for (let tries = 0; tries < 20; tries++) {
      try {
        rmSync(this.profile, { recursive: true, force: true });
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }
}

const browser = new Browser();
try {
  await browser.open();
  const { tpo } = await (await ask(HOSTILE, "tpo-d2-n3")).json();
  assert.equal((await ask("Why is the sky blue?", "tpo", { tpo: { deadline_ms: 1 } })).status, 504);
  for (const [width, height] of SIZES) {
    for (const scheme of ["light", "dark"]) {
      // One search is under way while the page is looked at.
      const leave = new AbortController();
      const live = fetch(`${base}/chat/completions`, {
        method: "POST", signal: leave.signal, headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "tpo-d16", messages: [{ role: "user", content: "Why does wood float?" }], stream: true }),
      }).then((reply) => reply.text()).catch(() => {});
      browser.problems.length = 0;
      await browser.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 500 });
      await browser.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
      await browser.send("Page.navigate", { url: "about:blank" });
      await browser.send("Page.navigate", { url: `${server}/#${tpo.id}` });
      const shows = (text) => `document.body?.innerText.includes(${JSON.stringify(text)})`;
      await browser.until("a search under way", `document.querySelectorAll("#live tbody tr").length > 0`);
      await browser.until("ended searches", `document.querySelectorAll("#ended tbody tr").length > 1`);
      await browser.until("its detail", `document.querySelector("#detail .best")`);
      await browser.until("that answers are simulated", shows("SIMULATED"));
      await browser.until("the failed search", shows("failed"));
      // Texts of clients are texts.
      await browser.until("the hostile query", shows(HOSTILE));
      assert.equal(await browser.evaluate("window.pwned"), undefined);
      const wide = await browser.evaluate("document.documentElement.scrollWidth - innerWidth");
      assert.ok(wide <= 0, `at ${width} pixels, the page is ${wide} too wide`);
      const back = await browser.evaluate("getComputedStyle(document.body).backgroundColor");
      const isDark = Number(/\d+/.exec(back)[0]) < 128;
      assert.equal(isDark, scheme === "dark", back);
      // The graph draws, and cannot reach the page around it.
      await browser.until("the frame of the graph", `document.querySelector("iframe")`);
      let context;
      for (let tries = 0; tries < 100 && !context; tries++) {
        context = await browser.inner();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.ok(context, "the graph has no script");
      await browser.until("the graph", `document.querySelector("canvas")?.width > 0`, () => context);
      assert.equal(await browser.evaluate(`(() => { try { return parent.document.title; } catch { return "out of reach"; } })()`, context), "out of reach");
      assert.equal(await browser.evaluate("window.pwned", context), undefined);
      assert.deepEqual(browser.problems, []);
      const name = (part) => path.join(folder, `page-${width}-${scheme}${part}.png`);
      const picture = async (file) => {
        const { data } = await browser.send("Page.captureScreenshot", { format: "png" });
        writeFileSync(file, Buffer.from(data, "base64"));
      };
      await browser.evaluate("scrollTo(0, 0)");
      await picture(name(""));
      await browser.evaluate(`document.querySelector("iframe").scrollIntoView()`);
      await new Promise((resolve) => setTimeout(resolve, 300));
      await picture(name("-graph"));
      leave.abort();
      await live;
    }
  }
  console.log("the page in Chromium: ok");
} finally {
  await browser.close();
}
process.exit(0);
