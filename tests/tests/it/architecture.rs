//! Dependencies that no crate may have.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The packages that a build of a package's library has at run time, as cargo resolves them for this machine.
fn packages(package: &str, features: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    command.args(["--package", package, "--no-default-features"]);
    command.args(["--features", &features.join(",")]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
}

/// The dependencies of a package on packages of this workspace; with `dev`, those of its tests.
fn workspace_dependencies(package: &str, dev: bool) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let found = packages.iter().find(|found| found["name"] == package).unwrap();
    let dependencies = found["dependencies"].as_array().unwrap().iter();
    dependencies
        .filter(|dependency| !dependency["path"].is_null() && (dependency["kind"] == "dev") == dev)
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect()
}

#[track_caller]
fn without(package: &str, features: &[&str], absent: &[&str]) {
    let packages = packages(package, features);
    assert!(packages.contains("serde_json"), "{packages:?}");
    let found: Vec<&&str> = absent.iter().filter(|name| packages.contains(**name)).collect();
    assert!(found.is_empty(), "{package} with {features:?} depends on {found:?}");
}

const RUNTIMES: [&str; 4] = ["tokio", "async-std", "smol", "futures-executor"];
const HTTP: [&str; 4] = ["reqwest", "hyper", "rustls", "ring"];
const PROGRAM: [&str; 4] = ["clap", "indicatif", "toml", "tracing-subscriber"];
const STORES: [&str; 2] = ["rusqlite", "libsqlite3-sys"];

#[test]
fn crates_depend_in_one_direction() {
    let none = BTreeSet::new();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(workspace_dependencies("textgrad-core", false), none);
    assert_eq!(workspace_dependencies("textgrad-ops", false), set(&["textgrad-core"]));
    assert_eq!(workspace_dependencies("tpo", false), set(&["textgrad-core", "textgrad-ops"]));
    assert!(workspace_dependencies("tpo", true).contains("textgrad-tests"));
}

#[test]
fn the_core_needs_neither_a_runtime_nor_a_network() {
    without("textgrad-core", &["page", "test-util"], &RUNTIMES);
    without("textgrad-core", &["page", "test-util"], &HTTP);
    without("textgrad-core", &["page", "test-util"], &["chrono", "jiff", "rusqlite", "regex"]);
}

#[test]
fn ops_without_features_have_neither_client_nor_store_nor_program() {
    without("textgrad-ops", &[], &HTTP);
    without("textgrad-ops", &[], &STORES);
    without("textgrad-ops", &[], &PROGRAM);
    without("textgrad-ops", &[], &["boon", "csv"]);
    without("textgrad-ops", &["http"], &PROGRAM);
    without("textgrad-ops", &["http"], &STORES);
}

#[test]
fn the_search_without_features_has_neither_client_nor_benchmarks_nor_program() {
    without("tpo", &[], &HTTP);
    without("tpo", &[], &STORES);
    without("tpo", &[], &PROGRAM);
    without("tpo", &[], &["bpe-openai", "csv", "flate2", "num-bigint", "tokenizers", "boon"]);
}

#[test]
fn the_program_has_one_provider_of_tls_and_no_embedded_vocabulary() {
    without("tpo", &["cli"], &["aws-lc-rs", "openssl", "native-tls", "bpe-openai", "jsonschema"]);
}

/// The library of graphs shows in one documented accessor only.
#[test]
fn petgraph_is_in_one_public_signature() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("textgrad-core/src");
    let (mut found, mut open) = (Vec::new(), vec![source]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let public = text.lines().map(str::trim).filter(|line| line.starts_with("pub "));
                let types = ["petgraph::", "DiGraph", "NodeIndex", "EdgeIndex", "EdgeReference"];
                let shown = public.filter(|line| types.iter().any(|shown| line.contains(shown)));
                found.extend(shown.map(str::to_owned));
            }
        }
    }
    assert_eq!(found, ["pub fn as_petgraph(&self) -> &DiGraph<GraphNode, GraphEdge> {"]);
}
