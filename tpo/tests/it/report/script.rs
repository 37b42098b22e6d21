//! The script of the page.

use textgrad_tests::script::check;

use super::page::EVIL;
use super::*;

/// The page of two runs over the same queries, with scores that are known.
async fn page() -> String {
    let folder = tempfile::tempdir().unwrap();
    let a = run(&folder.path().join("a"), search(Mode::Tpo, 7).iterations(1), &QUERIES).await;
    let b = run(&folder.path().join("b"), search(Mode::Bon, 7).samples(2), &QUERIES).await;
    let gains = [(0, 1.0), (0, 2.0), (0, 4.0), (1, 3.0), (1, 5.0), (1, 7.0)];
    let none = [(0, 0.0), (0, -2.0), (0, 2.0), (1, 1.0), (1, 1.0), (1, 1.0)];
    let few = [(0, 0.5), (0, 1.5), (0, 0.0), (1, 1.0), (1, 1.75), (1, 1.0)];
    rescore(&a, &[&gains, &none, &few]);
    edit_results(&a, |record| {
        record.trajectory.candidates[0].text = EVIL.to_owned();
        record.trajectory.iterations[0].gradient = Some("- **Be** `brief`.\n- Say *why*.".into());
    });
    Report::read(&[a, b], &ReportConfig::default()).unwrap().to_html().unwrap()
}

#[tokio::test]
async fn queries_are_filtered_and_sorted() {
    let checks = r##"
        const indices = () => shown.map(({ row }) => row[0]);
        assert.deepEqual(indices(), [0, 1, 2]);
        const choice = (id, value) => { $(id).value = value; $(id).send("change"); $(id).send("input"); return indices(); };
        assert.deepEqual(choice("order", "gain"), [0, 2, 1]);
        assert.deepEqual(choice("order", "worst"), [2, 1, 0]);
        assert.deepEqual(choice("status", "improved"), [2, 0]);
        assert.deepEqual(choice("status", "same"), [1]);
        assert.deepEqual(choice("status", "failed"), []);
        assert.equal($("count").textContent, "0 queries");
        choice("status", "all");
        assert.deepEqual(choice("above", "0.1"), [2, 0]);
        assert.deepEqual(choice("below", "1"), [2]);
        [choice("above", ""), choice("below", "")];
        assert.deepEqual(choice("find", "EGG boil"), [2]);
        assert.equal($("count").textContent, "1 query");
        assert($("list").textContent.includes("+0.25"), $("list").textContent);
    "##;
    check(&page().await, checks);
}

#[tokio::test]
async fn a_query_shows_its_answers_feedback_and_other_runs() {
    let checks = r##"
        await open(0);
        const detail = $("detail"), text = detail.textContent;
        for (const part of ["Why is the sky blue?", "best 7.000", "+3.000 over best of N", "Iteration 1", "chosen answer 2 (4.000)"]) {
          assert(text.includes(part), `${part}: ${text}`);
        }
        // The gradient as Markdown.
        const lists = detail.querySelectorAll("ul").map((list) => list.children.map((item) => item.textContent));
        assert.deepEqual(lists.at(-1), ["Be brief.", "Say why."]);
        assert(detail.querySelectorAll("strong").some((strong) => strong.textContent === "Be"));
        // Texts of models are texts.
        const answer = $("answer-0");
        answer.open = true;
        answer.send("toggle");
        assert(answer.textContent.includes("<img src=x onerror=alert(3)><!-- U+202E"), answer.textContent);
        assert(![...body.all()].some(({ tagName }) => tagName === "img"));
        // One dot for each answer, one box for each and for what led to it.
        assert.equal($("plot").querySelectorAll("circle").filter((dot) => dot.attributes.role === "button").length, 6);
        assert.equal(detail.querySelectorAll("g.box").length, 6 + 4);
        // The other run.
        const other = detail.querySelectorAll("details").find((box) => box.textContent.startsWith("Side by side"));
        other.open = true;
        other.send("toggle");
        await new Promise((ready) => setTimeout(ready, 50));
        assert(other.querySelectorAll("button").some((button) => button.textContent === "b"), other.textContent);
        choose(1);
        assert.equal($("count").textContent, "3 queries");
    "##;
    check(&page().await, checks);
}

#[tokio::test]
async fn markdown_and_differences_are_elements() {
    let checks = r##"
        const shape = (node) => typeof node === "string" ? node : `<${node.tagName}>${node.nodes.map(shape).join("")}</>`;
        const shown = (text) => blocksOf(text.split("\n")).map(shape).join("");
        for (const [text, expected] of [
          ["# T\n\nx", "<p>T</><p>x</>"],
          ["1. a\n2. b\n   - c", "<ol><li><p>a</></><li><p>b</><ul><li><p>c</></></></></>"],
          ["~~~\n<b>\n~~~", "<pre><b></>"],
          ["> q\n\n---", "<blockquote><p>q</></><hr></>"],
          ["|a|b|\n|-|-|\n|1|`2`|", "<div><table><thead><tr><th>a</><th>b</></></><tbody><tr><td>1</><td><code>2</></></></></></>"],
          ["[x](javascript:alert(1)) <i>", "<p>[x](javascript:alert(1)) <i></>"],
          ["snake_case_name **un", "<p>snake_case_name **un</>"],
        ]) assert.equal(shown(text), expected, text);
        assert.deepEqual(wordChanges("one two three", "one too three four"), [["=", 4], ["-", 3], ["+", 3], ["=", 6], ["+", 5]]);
        const changed = difference("one two", "one too", wordChanges("one two", "one too"));
        assert.equal(shape(changed), "<pre>one <del>two</><ins>too</></>");
        assert.equal(number(-0.5, 2), "\u22120.50");
        assert.equal(signed(null), "\u2013");
        // However deep lists are nested, the script ends.
        blocksOf(Array.from({ length: 3000 }, (_, i) => " ".repeat(i) + "- x"));
    "##;
    check(&page().await, checks);
}
