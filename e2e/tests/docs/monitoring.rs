//! Rules and dashboards name metrics that exist, and every alert has a page that says what to do.

use crate::none;
use crate::pages::root;
use serde_json::Value;
use std::collections::BTreeSet;

const RULES: &str = "config/monitoring/rules.yaml";
const RULE_TESTS: &str = "e2e/monitoring/rules.test.yaml";
const DASHBOARDS: [&str; 2] =
    ["config/monitoring/dashboards/operator.json", "config/monitoring/dashboards/pipeline.json"];
/// Where metrics are told of.
const REFERENCE: &str = "docs/reference/metrics.md";
/// How names of ours begin.
const PREFIXES: [&str; 6] = ["stream_", "streaming_", "ingestion_", "analytics_", "orchestration_", "weir_"];
/// What a histogram appends to its name.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

#[test]
fn rules_and_dashboards_name_metrics_that_exist() {
    let known: BTreeSet<String> = words(&text(REFERENCE)).into_iter().collect();
    let mut problems = Vec::new();
    for path in DASHBOARDS.iter().chain([&RULES]) {
        let named: BTreeSet<String> = expressions(path).iter().flat_map(|text| words(text)).collect();
        assert!(!named.is_empty(), "{path} names no metric");
        let unknown = named.iter().filter(|name| !known.contains(&base(name, &known)));
        problems.extend(unknown.map(|name| format!("{path}: {name} is no metric that the reference knows")));
    }
    none(&problems);
}

#[test]
fn every_alert_says_what_to_do_and_is_tested() {
    let tests = text(RULE_TESTS);
    let mut problems = Vec::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().expect("an alert has a name");
        let page = format!("docs/runbooks/{name}.md");
        let url = alert["annotations"]["runbook_url"].as_str().unwrap_or_default();
        let mut need = |holds: bool, what: String| {
            problems.extend((!holds).then(|| format!("{name}: {what}")));
        };
        need(url.ends_with(&format!("/{page}")), format!("runbook_url does not end with {page}"));
        need(root().join(&page).is_file(), format!("{page} does not exist"));
        need(alert["annotations"]["summary"].is_string(), "no summary".to_owned());
        need(alert["labels"]["severity"].is_string(), "no severity".to_owned());
        need(tests.contains(&format!("alertname: {name}\n")), format!("not tested in {RULE_TESTS}"));
    }
    none(&problems);
}

fn alerts() -> Vec<Value> {
    let rules: Value = serde_saphyr::from_str(&text(RULES)).expect("the rules are YAML");
    let groups = rules["groups"].as_array().expect("groups is a list");
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules is a list").clone()).collect()
}

/// Every `expr` of a file, and every `query` of a variable.
fn expressions(path: &str) -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if name == "expr" || name == "query" => found.push(text.clone()),
                        other => collect(other, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_saphyr::from_str(&text(path)).expect("YAML or JSON"), &mut found);
    found
}

/// The words that look like metrics of ours.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix))).map(str::to_owned).collect()
}

/// The name without what a histogram appends to it.
fn base(name: &str, known: &BTreeSet<String>) -> String {
    let cut = SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix));
    cut.filter(|cut| known.contains(*cut)).map(str::to_owned).next().unwrap_or_else(|| name.to_owned())
}
