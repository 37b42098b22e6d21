//! The table for people who come from TextGrad.

use std::collections::BTreeSet;

use super::{code, document, rows};

/// The public classes and functions of TextGrad 0.1.8.
const PUBLIC: &[&str] = &[
    "CustomJsonFormatter",
    "SingletonBackwardEngine",
    "singleton_backward_engine",
    "set_backward_engine",
    "validate_engine_or_get_default",
    "Variable",
    "Variable.set_role_description",
    "Variable.reset_gradients",
    "get_role_description",
    "Variable.get_short_value",
    "Variable.get_value",
    "set_value",
    "Variable.set_grad_fn",
    "get_grad_fn",
    "Variable.get_gradient_text",
    "Variable.backward",
    "Variable.generate_graph",
    "BlackboxLLM",
    "TextLoss",
    "MultiFieldEvaluation",
    "MultiFieldTokenParsedEvaluation",
    "parse_output",
    "MultiChoiceTestTime",
    "ImageQALoss",
    "Function",
    "BackwardContext",
    "Module",
    "Module.zero_grad",
    "Sum",
    "Aggregate",
    "sum",
    "aggregate",
    "llm_call",
    "formatted_llm_call",
    "LLMCall",
    "FormattedLLMCall",
    "LLMCall_with_in_context_examples",
    "MultimodalLLMCall",
    "OrderedFieldsMultimodalLLMCall",
    "StringBasedFunction",
    "construct_reduce_prompt",
    "get_engine",
    "validate_multimodal_engine",
    "EngineLM",
    "CachedEngine",
    "ChatOpenAI",
    "AzureChatOpenAI",
    "BaseOpenAIEngine",
    "ChatExternalClient",
    "ChatAnthropic",
    "ChatBedrockEngine",
    "ChatCohere",
    "ChatGemini",
    "ChatGroq",
    "ChatTogether",
    "ChatVLLM",
    "GuidanceEngine",
    "is_jpeg",
    "is_png",
    "get_image_type_from_bytes",
    "cached",
    "LiteLLMEngine",
    "OpenAIEngine",
    "OpenAICompatibleEngine",
    "open_ai_like_formatting",
    "Optimizer",
    "TextualGradientDescent",
    "TGD",
    "TextualGradientDescentwithMomentum",
    "get_gradient_and_context_text",
    "construct_tgd_prompt",
    "GuidedTextualGradientDescent",
    "load_task",
    "load_instance_task",
    "Dataset",
    "DataLoader",
    "BigBenchHard",
    "parse_integer_answer",
    "string_based_equality_fn",
    "GPQA",
    "GPQAInstanceDataset",
    "GPQAInstanceDatasetOpenAI",
    "eval_string_based",
    "GSM8K",
    "GSM8K_DSPy",
    "LeetCodeHardEval",
    "MMLU",
    "MMLUInstanceDataset",
    "load_multimodal_instance_task",
    "MathVistaDataset",
    "compress_image",
    "verify_extraction",
    "create_test_prompt",
    "extract_answer",
    "get_most_similar",
    "normalize_extracted_answer",
    "safe_equal",
    "ScienceQADataset",
    "preprocess_text",
    "find_most_similar_choice",
    "is_valid_url",
    "download_and_cache_image",
];

#[test]
fn the_table_has_every_public_class_and_function() {
    let text = document("docs/from-textgrad.md");
    let (text, _) = text.split_once("## Feature requests of TextGrad's users").unwrap();
    let rows = rows(text);
    for row in &rows {
        assert!(row.len() == 3 && !row[1].is_empty(), "{row:?}");
        let (ours, differs) = (&row[1], &row[2]);
        assert!(ours == "none" || ours.contains("](") || ours.contains('`'), "{row:?}");
        assert!(ours != "none" || !differs.is_empty(), "why there is none: {row:?}");
    }
    let named: BTreeSet<&str> = rows.iter().flat_map(|row| code(&row[0])).collect();
    let missing: Vec<&&str> = PUBLIC.iter().filter(|name| !named.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
