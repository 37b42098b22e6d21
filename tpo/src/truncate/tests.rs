//! Truncated texts.

use super::*;
use crate::config::TpoConfig;

/// Every word is a token; the white space between them belongs to none.
struct Words;

impl Tokenizer for Words {
    fn identity(&self) -> Cow<'_, str> {
        "words".into()
    }

    fn tokens(&self, text: &str) -> Result<Vec<Range<usize>>, CoreError> {
        if text.contains("fail") {
            return Err(CoreError::op("no words"));
        }
        let start = |word: &str| word.as_ptr().addr() - text.as_ptr().addr();
        Ok(text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect())
    }
}

/// Tokens at positions that no text has, and one behind every text.
struct Wrong;

impl Tokenizer for Wrong {
    fn identity(&self) -> Cow<'_, str> {
        "wrong".into()
    }

    fn tokens(&self, text: &str) -> Result<Vec<Range<usize>>, CoreError> {
        let each = (0..text.len()).map(|at| at..usize::MAX);
        Ok(each.chain(std::iter::once(text.len()..text.len())).collect())
    }
}

fn cut(truncator: &Truncator, text: &str) -> String {
    truncator.one(&Value::from(text)).unwrap().as_text().unwrap().to_owned()
}

fn by(tokenizer: impl Tokenizer + 'static, limit: usize) -> Truncator {
    Truncator::new(Some(Truncation::Tokens(limit)), Some(Arc::new(tokenizer))).unwrap()
}

#[test]
fn a_text_is_cut_behind_its_last_token() {
    let text = " The quick  brown fox";
    for (most, left) in [(1, " The"), (2, " The quick"), (3, " The quick  brown"), (4, text)] {
        assert_eq!(cut(&by(Words, most), text), left);
    }
    assert_eq!(cut(&by(Words, 1), ""), "");
    assert_eq!(cut(&by(Words, 1), "   "), "   ", "what no token stands for is not too long");
    assert_eq!(cut(&by(Words, 1), "one   "), "one   ");
    let chars = |limit| Truncator::new(Some(Truncation::Chars(limit)), None).unwrap();
    assert_eq!(cut(&chars(8), text), " The qui");
    assert_eq!(cut(&chars(3), "\u{e9}\u{1F9FF}a\u{e9}"), "\u{e9}\u{1F9FF}a");
    assert_eq!(cut(&chars(100), text), text);
}

#[test]
fn tokens_that_cannot_be_cut_nothing_in_two() {
    for text in ["x", "\u{1F9FF}\u{1F9FF}", "a\u{e9}b"] {
        for most in 1..12 {
            let left = cut(&by(Wrong, most), text);
            assert!(text.starts_with(&left) && left.len() < most, "{left:?}");
        }
    }
}

#[tokio::test]
async fn values_are_shared_where_nothing_is_cut() {
    let values = || vec![Value::from("one two"), Value::from("one two three")];
    let left = by(Words, 2).all(values()).await.unwrap();
    assert_eq!(left, [Value::from("one two"), Value::from("one two")]);
    assert_eq!(Truncator::default().all(values()).await.unwrap(), values());
    let error = by(Words, 2).all(vec![Value::from("to fail")]).await.unwrap_err();
    assert!(error.to_string().contains("no words"), "{error}");
}

#[test]
fn texts_are_cut_without_a_runtime() {
    let cut = by(Words, 1);
    let left = futures_util::FutureExt::now_or_never(cut.all(vec![Value::from("one two")]));
    assert_eq!(left.unwrap().unwrap(), [Value::from("one")]);
}

#[test]
fn tokens_and_a_tokenizer_belong_together() {
    let words = || Some(Arc::new(Words) as Arc<dyn Tokenizer>);
    let (tokens, chars) = (Some(Truncation::Tokens(3)), Some(Truncation::Chars(3)));
    let refused = |new: Result<Truncator, Error>| new.unwrap_err().to_string();
    let alone = refused(Truncator::new(tokens, None));
    assert_eq!(
        alone,
        "tokenizer: expected a tokenizer that counts the tokens of truncate, got nothing"
    );
    for idle in [None, chars] {
        let idle = refused(Truncator::new(idle, words()));
        assert!(idle.starts_with("truncate: expected tokens:N"), "{idle}");
    }
    assert!(Truncator::new(tokens, words()).is_ok());
    let zero = TpoConfig { truncate: Some(Truncation::Tokens(0)), ..TpoConfig::default() };
    let zero = zero.validate().unwrap_err().to_string();
    assert_eq!(zero, "truncate: expected at least 1, got tokens:0");
}

#[test]
fn settings_say_the_unit() {
    for text in ["chars:8000", "tokens:1"] {
        assert_eq!(text.parse::<Truncation>().unwrap().to_string(), text);
    }
    for text in ["300", "chars:0", "tokens:", "words:3", "tokens:-1", ""] {
        let error = text.parse::<Truncation>().unwrap_err().to_string();
        assert!(error.contains("expected chars:N or tokens:N"), "{error}");
    }
}

#[cfg(feature = "tokenizer")]
mod hf {
    use serde_json::{Map, Value as Json, json};

    use super::*;

    /// The character that stands for a byte in vocabularies over bytes.
    fn letter(byte: u8) -> char {
        let plain = |byte: &u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let others = (0..=u8::MAX).filter(|byte| !plain(byte));
        match others.clone().position(|other| other == byte) {
            Some(index) => char::from_u32(256 + index as u32).unwrap(),
            None => char::from(byte),
        }
    }

    /// A vocabulary over bytes that knows ` fox` and the beginning of an emoji as tokens.
    fn bytes() -> Json {
        let word = |bytes: &[u8]| bytes.iter().map(|byte| letter(*byte)).collect::<String>();
        let mut tokens: Vec<String> = (0..=u8::MAX).map(|byte| word(&[byte])).collect();
        let mut merges = Vec::new();
        for whole in [" fox".as_bytes(), &"\u{1F9FF}".as_bytes()[..2]] {
            for end in 1..whole.len() {
                merges.push(json!([word(&whole[..end]), word(&whole[end..=end])]));
                tokens.push(word(&whole[..=end]));
            }
        }
        let vocab: Map<String, Json> =
            tokens.into_iter().enumerate().map(|(id, token)| (token, id.into())).collect();
        json!({
            "version": "1.0",
            "added_tokens": [{
                "id": 300, "content": "<|end|>", "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false,
            }],
            "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true },
            "post_processor": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true },
            "model": { "type": "BPE", "vocab": vocab, "merges": merges },
        })
    }

    fn read(json: &Json) -> HfTokenizer {
        HfTokenizer::from_json(json.to_string()).unwrap()
    }

    #[test]
    fn a_character_of_several_tokens_stays_whole() {
        let text = "a fox \u{1F9FF}\u{1F9FF}\u{e9}";
        // The emoji are a merged token and two bytes each.
        assert_eq!(read(&bytes()).tokens(text).unwrap().len(), 2 + 1 + 2 * 3 + 2);
        let left = |most| cut(&by(read(&bytes()), most), text);
        assert_eq!((left(1).as_str(), left(2).as_str()), ("a", "a fox"));
        // The space stands before an emoji, of which the next two tokens are a part only.
        for most in [3, 4, 5] {
            assert_eq!(left(most), "a fox ", "{most}");
        }
        assert_eq!(left(6), "a fox \u{1F9FF}");
        assert_eq!(left(9), "a fox \u{1F9FF}\u{1F9FF}");
        assert_eq!(left(10), "a fox \u{1F9FF}\u{1F9FF}");
        assert_eq!(left(11), text);
        assert_eq!(left(1000), text);
    }

    #[test]
    fn what_is_left_is_a_beginning_within_the_bound() {
        let fallback = json!({
            "normalizer": { "type": "NFKD" },
            "pre_tokenizer": { "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true },
            "model": {
                "type": "BPE", "byte_fallback": true, "unk_token": "?", "fuse_unk": true,
                "vocab": (0..=255_u32)
                    .map(|byte| (format!("<0x{byte:02X}>"), Json::from(byte)))
                    .chain([("?".to_owned(), 256.into()), ("\u{2581}".to_owned(), 257.into()), ("o".to_owned(), 258.into())])
                    .collect::<Map<_, _>>(),
                "merges": [],
            },
        });
        let words = json!({
            "normalizer": { "type": "Lowercase" },
            "pre_tokenizer": { "type": "Whitespace" },
            "model": { "type": "WordLevel", "vocab": { "?": 0, "the": 1 }, "unk_token": "?" },
        });
        for json in [bytes(), fallback, words] {
            for text in [
                "The fox, the oil \u{fb01}rst\n\n",
                "\u{1F468}\u{200d}\u{1F469}\u{200d}\u{1F467} e\u{301}\u{e9}\u{130}",
                "<|end|> \u{c4}\u{308}\u{d55c}\u{ae00} \u{2460}\u{2581}oo",
                "   \t ",
            ] {
                let all = read(&json).tokens(text).unwrap().len();
                let mut before = 0;
                for most in 1..=all {
                    let left = cut(&by(read(&json), most), text);
                    assert!(text.starts_with(&left), "{left:?}");
                    assert!(read(&json).tokens(&left).unwrap().len() <= most, "{most}: {left:?}");
                    assert!(left.len() >= before, "{most}: {left:?}");
                    before = left.len();
                }
                assert_eq!(cut(&by(read(&json), all.max(1)), text), text);
            }
        }
    }

    #[test]
    fn neither_truncation_nor_padding_nor_dropout_of_the_file_hold() {
        let mut json = bytes();
        json["truncation"] = json!({ "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0 });
        json["padding"] = json!({
            "strategy": { "Fixed": 40 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "!",
        });
        let text = " fox fox fox";
        assert_eq!(read(&json).tokens(text).unwrap().len(), 3);
        assert_eq!(cut(&by(read(&json), 2), text), " fox fox");
        let mut shaken = json;
        shaken["model"]["dropout"] = json!(1.0);
        assert_eq!(read(&shaken).tokens(text).unwrap().len(), 3);
        assert_ne!(read(&shaken).identity(), read(&bytes()).identity());
    }

    #[test]
    fn what_is_no_tokenizer_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer_config.json");
        for text in ["", "{}", "[1]", r#"{"chat_template": "x", "bos_token": "<s>"}"#] {
            std::fs::write(&path, text).unwrap();
            let error = HfTokenizer::from_file(&path).unwrap_err();
            let reported = error.to_string();
            assert!(
                reported.contains("tokenizer_config.json: expected a tokenizer.json"),
                "{reported}"
            );
            assert!(std::error::Error::source(&error).is_some());
        }
        let missing = HfTokenizer::from_file(folder.path().join("none.json")).unwrap_err();
        assert!(matches!(missing, Error::Io { .. }), "{missing}");
        // A word that the vocabulary does not know, where it has nothing for those.
        let words =
            json!({ "model": { "type": "WordLevel", "vocab": { "a": 0 }, "unk_token": "?" } });
        let error = read(&words).tokens("b").unwrap_err().to_string();
        assert!(error.contains("could not split an answer"), "{error}");
    }
}
