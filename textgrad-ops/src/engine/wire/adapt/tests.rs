//! Refusals of servers in their own words.

use super::*;

fn body() -> Value {
    json!({
        "model": "m", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}],
        "temperature": 0.7, "top_p": 0.95, "frequency_penalty": 0.5, "presence_penalty": 0.5,
        "stop": ["x"], "seed": 7, "max_tokens": 8192, "n": 5,
    })
}

fn find(words: &str) -> Option<Remedy> {
    Remedy::by_words(400, words, &body())
}

/// Kind: Parameters | a 400 for `max_tokens` | sent as `max_completion_tokens` from then on
#[test]
fn a_refused_parameter_is_dropped_or_renamed() {
    let drop = |name: &str| Some(Remedy::Drop(name.to_owned()));
    let rename = Remedy::RenameMaxTokens { from: "max_tokens", to: "max_completion_tokens" };
    for (words, remedy) in [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            Some(rename.clone()),
        ),
        ("Unsupported parameter: 'max_tokens' is not supported with this model.", Some(rename)),
        (
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.",
            drop("temperature"),
        ),
        ("Argument not supported on this model: presencePenalty", drop("presence_penalty")),
        ("Unsupported parameter: 'stop' is not supported with this model.", drop("stop")),
        (
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            Some(Remedy::Exclude("temperature".into(), "top_p".into())),
        ),
        (
            "temperature and top_p are mutually exclusive",
            Some(Remedy::Exclude("temperature".into(), "top_p".into())),
        ),
        (
            "[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"seed\"],\"msg\":\"Extra inputs are not permitted\"}]",
            drop("seed"),
        ),
        ("n > 1 is not supported", drop("n")),
        ("temperature must be between 0 and 2", None),
        ("The model `m` does not support images.", None),
        ("Invalid API key", None),
    ] {
        assert_eq!(find(words), remedy, "{words}");
    }
    assert_eq!(Remedy::by_words(500, "temperature is not supported", &body()), None);
}

#[test]
fn a_parameter_that_was_not_sent_is_not_dropped() {
    let body = json!({"model": "m", "messages": []});
    assert_eq!(Remedy::by_words(400, "temperature is not supported", &body), None);
}

/// Kind: Parameters | a bound on tokens that does not fit the context or the model | lowered to the numbers
/// of the error
#[test]
fn a_bound_that_does_not_fit_is_lowered_by_the_numbers_of_the_refusal() {
    let fit = |tokens| Some(Remedy::FitMaxTokens(tokens));
    let cap = |tokens| Some(Remedy::CapMaxTokens(tokens));
    for (words, remedy) in [
        (
            "This model's maximum context length is 8192 tokens. However, you requested 8300 tokens (108 in the messages, 8192 in the completion). Please reduce the length of the messages or completion.",
            fit(8084),
        ),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 8192 tokens and your request has 35 input tokens (8192 > 8192 - 35).",
            fit(8157),
        ),
        (
            "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of 8227 tokens: 35 tokens from the input messages and 8192 tokens for the completion.",
            fit(8157),
        ),
        (
            "input length and `max_tokens` exceed context limit: 3000 + 8192 > 10000, decrease input length or `max_tokens` and try again",
            fit(7000),
        ),
        (
            "max_tokens is too large: 8192. This model supports at most 4,096 completion tokens, whereas you provided 8192.",
            cap(4096),
        ),
        (
            "max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for m",
            cap(4096),
        ),
        (
            "`max_tokens` must be less than or equal to `4096`, the maximum value for `max_tokens` is less than the `context_window` for this model",
            cap(4096),
        ),
        ("Range of max_tokens should be [1, 4096]", cap(4096)),
        (
            "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 8813, please reduce \
             your message size and try again.",
            fit(5379),
        ),
        (
            "Request too large for m on tokens per min (TPM): Limit 10,000, Requested 12,192. The input or output \
             tokens must be reduced in order to run successfully.",
            fit(6000),
        ),
        ("Requests with max_tokens > 4096 must have stream=true", cap(4096)),
        (
            "max_tokens=100000 cannot be greater than max_model_len=4096. Please request fewer output tokens.",
            cap(4096),
        ),
        (
            "This request requires more credits, or fewer max_tokens. You requested up to 8192 tokens, but can only \
             afford 3000.",
            cap(3000),
        ),
        (
            "This endpoint's maximum context length is 9000 tokens. However, you requested about 9192 tokens (1000 of \
             text input, 8192 in the output).",
            fit(8000),
        ),
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            None,
        ),
    ] {
        assert_eq!(find(words), remedy, "{words}");
    }
}

/// Kind: System role | a model without a system role | the text goes into the first message of the user
#[test]
fn system_text_is_folded_where_there_is_no_such_role() {
    for words in [
        "System role not supported",
        "Developer instruction is not enabled for models/gemma-3-27b-it",
        "Only user and assistant roles are supported!",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "This model does not support the system role",
    ] {
        assert_eq!(Remedy::by_words(400, words, &body()), Some(Remedy::FoldSystem), "{words}");
    }
    let mut folded = body();
    Remedy::FoldSystem.apply(&mut folded);
    assert_eq!(folded["messages"], json!([{"role": "user", "content": "Be brief.\n\nHi."}]));
    assert_eq!(Remedy::by_words(400, "System role not supported", &folded), None);
    let mut gemini = json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "Hi."}]}],
    });
    Remedy::FoldSystem.apply(&mut gemini);
    let folded = json!({"contents": [{"role": "user", "parts": [{"text": "Be brief.\n\n"}, {"text": "Hi."}]}]});
    assert_eq!(gemini, folded);
}

#[test]
fn what_was_learned_holds_for_later_requests() {
    let mut learned = Adaptation::default();
    let rename = Remedy::RenameMaxTokens { from: "max_tokens", to: "max_completion_tokens" };
    for remedy in [Remedy::Drop("temperature".into()), rename, Remedy::CapMaxTokens(4096)] {
        assert!(learned.learn(&remedy));
        assert!(!learned.learn(&remedy));
    }
    let mut body = body();
    learned.apply(&mut body);
    assert_eq!((body.get("temperature"), body.get("max_tokens")), (None, None));
    assert_eq!(body["max_completion_tokens"], 4096);

    let mut gemini = json!({"generationConfig": {"temperature": 0.7, "maxOutputTokens": 8192}});
    learned.apply(&mut gemini);
    assert_eq!(gemini, json!({"generationConfig": {"maxOutputTokens": 4096}}));
}

/// Kind: Parameters | a prompt that is too long by itself | an error that names the settings
#[test]
fn a_prompt_that_is_too_long_names_the_settings() {
    let error = |words: &str| EngineError::new(ErrorKind::InvalidRequest, words);
    for words in
        ["prompt is too long: 9000 tokens > 8192 maximum", "Input exceeds the context window"]
    {
        assert!(with_advice(error(words)).message().contains("--truncate"), "{words}");
    }
    assert_eq!(with_advice(error("no such thing")).message(), "no such thing");
}
