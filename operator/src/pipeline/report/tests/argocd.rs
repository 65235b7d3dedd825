//! What Argo CD makes of an object: the script that `config/gitops/argocd` ships, run by a Lua of the version that Argo CD
//! has (5.1), after the one rule that Argo CD applies before it asks a script.

use mlua::{Lua, LuaOptions, StdLib, Table};
use serde_json::Value;

/// The script as it is shipped.
const SCRIPT: &str = include_str!("../../../../../config/gitops/argocd/health.lua");
/// What users merge into their ConfigMap.
const CONFIG_MAP: &str = include_str!("../../../../../config/gitops/argocd/argocd-cm.yaml");
/// The words that Argo CD knows.
const HEALTH: [&str; 5] = ["Healthy", "Progressing", "Degraded", "Suspended", "Missing"];

/// Health and message of an object as the API server gives it.
pub(super) fn health(object: &Value) -> (String, String) {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return ("Progressing".to_owned(), "Pending deletion".to_owned());
    }
    // A script has the base library and no other.
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).expect("a Lua");
    lua.globals().set("obj", value(&lua, object)).expect("a table");
    let health: Table = lua.load(SCRIPT).eval().unwrap_or_else(|error| panic!("{error}: {object}"));
    let status: String = health.get("status").expect("a status");
    assert!(HEALTH.contains(&status.as_str()), "{status}");
    (status, health.get("message").expect("a message"))
}

fn value<'lua>(lua: &'lua Lua, json: &Value) -> mlua::Value<'lua> {
    let table = |entries: Vec<(mlua::Value, &Value)>| {
        let table = lua.create_table().expect("a table");
        for (key, json) in entries {
            table.set(key, value(lua, json)).expect("a field");
        }
        mlua::Value::Table(table)
    };
    let text = |text: &str| mlua::Value::String(lua.create_string(text).expect("a text"));
    match json {
        Value::Null => mlua::Value::Nil,
        Value::Bool(is) => mlua::Value::Boolean(*is),
        Value::Number(number) => mlua::Value::Number(number.as_f64().expect("a number")),
        Value::String(string) => text(string),
        Value::Array(items) => table(
            items.iter().enumerate().map(|(at, item)| (mlua::Value::Integer(at as i64 + 1), item)).collect(),
        ),
        Value::Object(fields) => table(fields.iter().map(|(name, field)| (text(name), field)).collect()),
    }
}

#[test]
fn the_config_map_holds_the_script_for_every_kind() {
    let map: Value = serde_saphyr::from_str(CONFIG_MAP).expect("a ConfigMap");
    for definition in crds::all() {
        let key = format!("resource.customizations.health.weir.dev_{}", definition.kind);
        assert_eq!(map["data"][&key], SCRIPT, "{key}");
    }
}

#[test]
fn a_policy_is_degraded_only_when_somebody_has_to_act() {
    for (kind, reason, expected) in [
        ("ScalingActive", "ValidMetricFound", "Healthy"),
        ("ScalingActive", "MetricsUnavailable", "Healthy"),
        ("ScalingActive", "TargetChanging", "Healthy"),
        ("ScalingActive", "TargetSuspended", "Suspended"),
        ("ScalingActive", "Suspended", "Suspended"),
        ("ScalingActive", "TargetNotFound", "Degraded"),
        ("ScalingActive", "ConflictingPolicies", "Degraded"),
    ] {
        let text = format!(
            "{{metadata: {{generation: 2}}, status: {{observedGeneration: 2, conditions: [{{type: {kind}, status: 'False', reason: {reason}}}]}}}}"
        );
        let object = serde_saphyr::from_str(&text).expect("an object");
        assert_eq!(health(&object).0, expected, "{reason}");
    }
    let invalid = "{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: ScalingActive, status: 'False', reason: ConfigInvalid}, {type: Stalled, status: 'True', reason: ConfigInvalid}]}}";
    assert_eq!(health(&serde_saphyr::from_str(invalid).expect("an object")).0, "Degraded");
}

#[test]
fn an_object_that_nobody_has_seen_is_not_healthy() {
    for text in
        ["{metadata: {generation: 1}}", "{metadata: {generation: 1}, status: {observedGeneration: -1}}"]
    {
        let object = serde_saphyr::from_str(text).expect("an object");
        assert_eq!(health(&object).0, "Progressing");
    }
}
