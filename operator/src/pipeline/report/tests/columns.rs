//! What `kubectl get` prints of an object, by the columns of its definition. The paths that the API server takes for
//! columns are many; ours are fields, and the entry of a list that a field picks.

use crds::definition::Column;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// Head and cell of every column, those of `-o wide` too. A cell that the object says nothing of is empty.
pub(super) fn columns(kind: &str, object: &Value, now: Timestamp) -> Vec<(String, String)> {
    let definition = crds::all().into_iter().find(|definition| definition.kind == kind).expect("a kind");
    definition.columns.iter().map(|column| (column.name.to_uppercase(), cell(column, object, now))).collect()
}

fn cell(column: &Column, object: &Value, now: Timestamp) -> String {
    match (column.kind, find(column.path, object)) {
        (_, None | Some(Value::Null)) => String::new(),
        ("date", Some(Value::String(time))) => age(time.parse().expect("a time"), now),
        ("integer", Some(Value::Number(number))) => number.to_string(),
        ("string", Some(Value::String(text))) => text.clone(),
        (kind, Some(other)) => panic!("{} is no {kind}: {other}", column.path),
    }
}

/// `.a.b[?(@.c=="d")].e`
fn find<'a>(path: &str, object: &'a Value) -> Option<&'a Value> {
    let mut at = object;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(filter) = rest.strip_prefix("[?(@.") {
            let (filter, after) = filter.split_once("\")]").expect("an end of the filter");
            let (field, wanted) = filter.split_once("==\"").expect("an equation");
            at = at.as_array()?.iter().find(|item| item[field] == wanted)?;
            rest = after;
        } else {
            let name = rest.strip_prefix('.').expect("a field");
            let end = name.find(['.', '[']).unwrap_or(name.len());
            at = at.get(&name[..end])?;
            rest = &name[end..];
        }
    }
    Some(at)
}

/// The coarsest unit of which there are some; the API server prints two for small numbers.
fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs();
    match seconds {
        ..0 => "<invalid>".to_owned(),
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
