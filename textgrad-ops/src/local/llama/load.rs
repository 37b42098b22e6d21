//! A model from a GGUF file: checks, metadata, chat template.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use textgrad_core::{EngineError, ErrorKind, truncate};

use super::log::{backend, with_errors};
use super::vocabulary;
use crate::ChatTemplate;
use crate::local::{check_memory, invalid, unsupported};
use crate::util::hex;

/// The bytes that a GGUF file begins with.
const MAGIC: &[u8; 4] = b"GGUF";

/// The parts of a file that are read to tell it from others.
const SAMPLES: u64 = 256;

/// The bytes of each of these parts.
const SAMPLE_BYTES: usize = 4096;

/// A model that is loaded.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) model: LlamaModel,
    pub(super) template: ChatTemplate,
}

/// What identifies a file: a digest of its beginning, its length, and parts all over it. Weights that were trained
/// further differ everywhere.
///
/// It fails unless the file is there and begins as GGUF files do.
pub(super) fn fingerprint(path: &Path) -> Result<(String, u64), EngineError> {
    let unreadable = |error: std::io::Error| {
        let message = format!("expected a GGUF file at {}, which cannot be read", path.display());
        EngineError::new(ErrorKind::NotFound, message).with_source(error)
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(invalid(format!(
            "expected a GGUF file, got the folder {}; name a file in it",
            path.display()
        )));
    }
    let length = metadata.len();
    let mut hash = Sha256::new();
    hash.update(length.to_le_bytes());
    let mut begin = Vec::new();
    for part in 0..SAMPLES {
        let position = length / SAMPLES * part;
        file.seek(SeekFrom::Start(position)).map_err(unreadable)?;
        let mut bytes = Vec::with_capacity(SAMPLE_BYTES);
        let most = u64::try_from(SAMPLE_BYTES).unwrap_or(u64::MAX);
        (&mut file).take(most).read_to_end(&mut bytes).map_err(unreadable)?;
        hash.update(&bytes);
        if part == 0 {
            begin = bytes;
        }
    }
    if !begin.starts_with(MAGIC) {
        return Err(invalid(format!(
            "expected a GGUF file, which begins with the letters GGUF, got another one at {}; convert models with \
             llama.cpp's convert_hf_to_gguf.py",
            path.display()
        )));
    }
    Ok((hex(&hash.finalize()), length))
}

/// Loads a file of this length. Blocking.
pub(super) fn load(path: &Path, length: u64) -> Result<Loaded, EngineError> {
    check_instructions()?;
    check_memory(length, "the weights")?;
    let backend = backend()?;
    // The binding wants a path of UTF-8 without zeros.
    if path.to_str().is_none_or(|path| path.contains('\0')) {
        return Err(invalid(format!("expected a path of UTF-8, got {}", path.display())));
    }
    let file = File::open(path).map(BufReader::new);
    if let Some(token) = file.ok().and_then(vocabulary::repeated_token) {
        return Err(invalid(format!(
            "expected a vocabulary of different tokens in {}, got {:?} twice: the file is damaged",
            path.display(),
            truncate(&token, 80)
        )));
    }
    // Without a callback, llama.cpp logs dots.
    let params = LlamaModelParams::default().with_progress_callback(|_| true);
    let (loaded, log) = with_errors(|| LlamaModel::load_from_file(backend, path, &params));
    let model = loaded.map_err(|error| {
        let reason = if log.is_empty() { error.to_string() } else { log };
        let kind = match reason.contains("unknown model architecture") {
            true => ErrorKind::Unsupported,
            false => ErrorKind::InvalidRequest,
        };
        EngineError::new(
            kind,
            format!("expected a model that llama.cpp loads in {}, got: {reason}", path.display()),
        )
    })?;
    check_architecture(&model)?;
    let template = template(&model)?;
    Ok(Loaded { model, template })
}

/// llama.cpp is compiled for processors with AVX2; others would end the program.
fn check_instructions() -> Result<(), EngineError> {
    #[cfg(target_arch = "x86_64")]
    if !(std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c")
        && std::arch::is_x86_feature_detected!("bmi2"))
    {
        return Err(unsupported(
            "expected a processor with AVX2, FMA, F16C and BMI2, got one without; use a server, as in llamacpp/MODEL",
        ));
    }
    Ok(())
}

/// Refuses models that do not go on with a text, or that keep no keys and values to share.
fn check_architecture(model: &LlamaModel) -> Result<(), EngineError> {
    let architecture = text(model, "general.architecture").unwrap_or_default();
    let is_other = model.is_recurrent()
        || model.is_hybrid()
        || architecture.contains("bert")
        || ["t5", "clip", "wavtokenizer"].iter().any(|other| architecture.starts_with(other));
    match is_other {
        true => Err(unsupported(format!(
            "expected a model that writes texts and attends to all of them, such as llama, qwen3 or gemma3, got \
             {architecture}; use a server, as in llamacpp/MODEL"
        ))),
        false => Ok(()),
    }
}

/// A value of the metadata.
pub(super) fn text(model: &LlamaModel, key: &str) -> Option<String> {
    model.meta_val_str(key).ok().filter(|value| !value.is_empty())
}

/// A number of the metadata, under the name of the architecture.
pub(super) fn number(model: &LlamaModel, key: &str) -> Option<u64> {
    let architecture = text(model, "general.architecture")?;
    text(model, &format!("{architecture}.{key}"))?.parse().ok()
}

/// The chat template of the file, with its special tokens.
fn template(model: &LlamaModel) -> Result<ChatTemplate, EngineError> {
    let source = model.chat_template(None).ok().and_then(|template| template.to_string().ok());
    let Some(source) = source else {
        return Err(unsupported(
            "expected a file with a chat template (tokenizer.chat_template), got one without: a base model; take one \
             that was trained for conversations",
        ));
    };
    let vocabulary = model.vocab();
    let token = |token| {
        let bytes = vocabulary.token_to_piece(token, true, None);
        Value::from(String::from_utf8_lossy(&bytes).into_owned())
    };
    let mut config = Map::new();
    config.insert("chat_template".to_owned(), source.into());
    let tokens = [("bos_token", vocabulary.bos()), ("eos_token", vocabulary.eos())];
    for (name, id) in tokens.into_iter().filter(|(_, id)| id.0 >= 0) {
        config.insert(name.to_owned(), token(id));
    }
    ChatTemplate::from_tokenizer_config(&Value::Object(config).to_string()).map_err(|error| {
        EngineError::new(ErrorKind::Unsupported, "expected a chat template in the GGUF file")
            .with_source(error)
    })
}

/// The name of a quantization, as `general.file_type` numbers them.
pub(super) fn quantization(model: &LlamaModel) -> String {
    let number = text(model, "general.file_type");
    let name = match number.as_deref() {
        Some("0") => "F32",
        Some("1") => "F16",
        Some("2") => "Q4_0",
        Some("3") => "Q4_1",
        Some("7") => "Q8_0",
        Some("8") => "Q5_0",
        Some("9") => "Q5_1",
        Some("10") => "Q2_K",
        Some("11") => "Q3_K_S",
        Some("12") => "Q3_K_M",
        Some("13") => "Q3_K_L",
        Some("14") => "Q4_K_S",
        Some("15") => "Q4_K_M",
        Some("16") => "Q5_K_S",
        Some("17") => "Q5_K_M",
        Some("18") => "Q6_K",
        Some("25") => "IQ4_NL",
        Some("30") => "IQ4_XS",
        Some("32") => "BF16",
        Some(other) => return format!("file type {other}"),
        None => "not stated",
    };
    name.to_owned()
}

/// The length of conversations: the one that is wanted, if the model was trained for it.
pub(super) fn context_length(
    model: &LlamaModel,
    wanted: Option<usize>,
) -> Result<usize, EngineError> {
    /// Enough for a search of short answers, and modest in memory.
    const DEFAULT: usize = 4096;
    let trained = usize::try_from(model.n_ctx_train()).unwrap_or(usize::MAX);
    match wanted {
        Some(wanted) if wanted > trained => Err(invalid(format!(
            "expected a context of at most {trained} tokens, what the model was trained for, got {wanted}"
        ))),
        Some(wanted) => Ok(wanted),
        None => Ok(trained.min(DEFAULT)),
    }
}
