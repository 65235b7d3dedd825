//! An API server in memory: get, list by labels, create, replace, server-side apply, merge patch with optimistic
//! concurrency, scale, delete with finalizers. As much as the operator uses, and writes that can fail before or after they had their effect.

use axum::body::to_bytes;
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Largest body that is read.
const BODY_MAX: usize = 4 << 20;

/// Which write fails, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The write with this number, counted from 0, has no effect.
    Before(usize),
    /// It has its effect, but the answer is lost.
    After(usize),
}

/// Objects by folder (`apis/apps/v1/namespaces/shop/statefulsets`) and name.
#[derive(Debug, Default)]
pub struct Objects {
    folders: BTreeMap<String, BTreeMap<String, Value>>,
    version: u64,
    /// Writes so far.
    pub writes: usize,
    /// Writes of a number of replicas so far.
    pub scales: usize,
    /// Notes of events so far.
    pub notes: Vec<String>,
    /// Events so far; they are no writes, because they are a courtesy and no step of anything.
    pub events: usize,
    /// The write that fails.
    pub fault: Option<Fault>,
    /// Nothing is answered but that it cannot be.
    pub away: bool,
    /// The namespace is being deleted: nothing new can be made in it.
    pub terminating: bool,
    /// No write is valid; events are.
    pub refuses: bool,
}

/// The server; clones share the objects.
#[derive(Clone, Debug, Default)]
pub struct Api(Arc<Mutex<Objects>>);

/// What a request is about.
struct Target {
    folder: String,
    name: Option<String>,
    status: bool,
    scale: bool,
}

impl Api {
    /// The objects, to look at and to change without the operator.
    pub fn objects(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().expect("no test panics holding it")
    }

    /// Answers one request of the operator.
    pub async fn answer(self, request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
        let (head, body) = request.into_parts();
        let body = to_bytes(axum::body::Body::new(body), BODY_MAX).await.expect("a small body");
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let content =
            head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let query = head.uri.query().unwrap_or_default();
        let (status, answer) = self.objects().handle(&head.method, head.uri.path(), query, content, value);
        let response = Response::builder().status(status).header("content-type", "application/json");
        Ok(response.body(Body::from(answer.to_string().into_bytes())).expect("a response"))
    }
}

impl Objects {
    /// All objects of a kind.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        let folders = self.folders.iter().filter(|(folder, _)| folder.ends_with(&format!("/{plural}")));
        folders.flat_map(|(_, objects)| objects.values().cloned()).collect()
    }

    /// Changes or creates an object without the operator.
    pub fn put(&mut self, folder: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        self.folders.entry(folder.to_owned()).or_default().insert(name, object);
    }

    /// Removes an object without the operator; one with finalizers is only marked.
    pub fn delete(&mut self, folder: &str, name: &str) {
        let Some(objects) = self.folders.get_mut(folder) else { return };
        let held = objects.get(name).is_some_and(has_finalizers);
        if held {
            let object = &mut objects.get_mut(name).expect("it is there")["metadata"];
            object["deletionTimestamp"] = json!("2026-01-01T12:00:00Z");
            self.version += 1;
            object["resourceVersion"] = json!(self.version.to_string());
        } else {
            objects.remove(name);
        }
    }

    fn handle(
        &mut self,
        method: &Method,
        path: &str,
        query: &str,
        content: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let target = target(path);
        if self.away {
            return failure(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable");
        }
        if *method == Method::GET {
            return self.read(&target, query);
        }
        if target.folder.ends_with("/events") {
            self.events += 1;
            self.notes.extend(body["note"].as_str().map(str::to_owned));
            return (StatusCode::CREATED, body);
        }
        if self.refuses {
            return failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid");
        }
        let number = self.writes;
        self.writes += 1;
        if self.fault == Some(Fault::Before(number)) {
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        let answer = self.write(method, &target, content, &body);
        if self.fault == Some(Fault::After(number)) {
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        answer
    }

    fn read(&self, target: &Target, query: &str) -> (StatusCode, Value) {
        let objects = self.folders.get(&target.folder);
        let Some(name) = &target.name else {
            let selector = selector(query);
            let items = objects.into_iter().flatten().map(|(_, object)| object);
            let items: Vec<&Value> = items.filter(|object| selected(object, &selector)).collect();
            return (
                StatusCode::OK,
                json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}),
            );
        };
        match objects.and_then(|objects| objects.get(name)) {
            Some(object) => (StatusCode::OK, object.clone()),
            None => failure(StatusCode::NOT_FOUND, "NotFound"),
        }
    }

    fn write(
        &mut self,
        method: &Method,
        target: &Target,
        content: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let named = || body["metadata"]["name"].as_str().map(str::to_owned);
        let name = target.name.clone().or_else(named).expect("writes name their object");
        let old = self.folders.get(&target.folder).and_then(|objects| objects.get(&name)).cloned();
        if *method == Method::DELETE {
            if old.is_none() {
                return failure(StatusCode::NOT_FOUND, "NotFound");
            }
            self.delete(&target.folder, &name);
            return (StatusCode::OK, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}));
        }
        let create = *method == Method::POST;
        if create || *method == Method::PUT {
            let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
            let refused = match &old {
                Some(_) if create => failure(StatusCode::CONFLICT, "AlreadyExists"),
                Some(old) if version(old) != version(body) => failure(StatusCode::CONFLICT, "Conflict"),
                None if !create => failure(StatusCode::NOT_FOUND, "NotFound"),
                Some(_) | None => {
                    self.put(&target.folder, body.clone());
                    return (StatusCode::OK, self.folders[&target.folder][&name].clone());
                }
            };
            return refused;
        }
        assert_eq!(
            *method,
            Method::PATCH,
            "the operator creates and replaces leases, and patches and deletes"
        );
        let applies = content.starts_with("application/apply-patch");
        if self.terminating && old.is_none() && applies {
            let (code, mut status) = failure(StatusCode::FORBIDDEN, "Forbidden");
            status["details"] =
                json!({"causes": [{"reason": "NamespaceTerminating", "message": "", "field": ""}]});
            return (code, status);
        }
        let Some(mut object) = old.or_else(|| applies.then(|| json!({}))) else {
            return failure(StatusCode::NOT_FOUND, "NotFound");
        };
        let wanted = &body["metadata"]["resourceVersion"];
        if !wanted.is_null() && *wanted != object["metadata"]["resourceVersion"] {
            return failure(StatusCode::CONFLICT, "Conflict");
        }
        if applies && object["immutable"] == true && object["data"] != body["data"] {
            return failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid");
        }
        let status = object["status"].clone();
        merge(&mut object, body);
        // Replicas are of the spec: a change of them is a new generation, as by an edit.
        if target.scale {
            self.scales += 1;
            let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
            object["metadata"]["generation"] = json!(generation + 1);
        }
        if !target.status && !status.is_null() {
            object["status"] = status;
        }
        self.put(&target.folder, object.clone());
        if !object["metadata"]["deletionTimestamp"].is_null() && !has_finalizers(&object) {
            self.folders.get_mut(&target.folder).expect("it is there").remove(&name);
        }
        let stored = self.folders[&target.folder].get(&name).cloned().unwrap_or(object);
        (StatusCode::OK, stored)
    }
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

fn failure(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason,
        "code": code.as_u16(),
    });
    (code, status)
}

/// `/apis/{group}/{version}/namespaces/{namespace}/{plural}[/{name}[/{sub}]]`, or `/api/v1/…`.
fn target(path: &str) -> Target {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let folder = if parts[0] == "api" { 5 } else { 6 };
    Target {
        folder: parts[..folder].join("/"),
        name: parts.get(folder).map(|name| (*name).to_owned()),
        status: parts.get(folder + 1) == Some(&"status"),
        scale: parts.get(folder + 1) == Some(&"scale"),
    }
}

/// Labels of `labelSelector=a%3Db%2Cc`: name, and value if one is asked for.
fn selector(query: &str) -> Vec<(String, Option<String>)> {
    let decoded = query.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/");
    let Some((_, labels)) = decoded.split_once("labelSelector=") else { return Vec::new() };
    let labels = labels.split('&').next().unwrap_or_default().split(',');
    labels
        .map(|label| match label.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (label.to_owned(), None),
        })
        .collect()
}

fn selected(object: &Value, selector: &[(String, Option<String>)]) -> bool {
    selector.iter().all(|(name, wanted)| {
        let label = object["metadata"]["labels"][name].as_str();
        label.is_some() && (wanted.is_none() || wanted.as_deref() == label)
    })
}

fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            object.as_object_mut().expect("made one").remove(key);
        } else {
            merge(&mut object[key], value);
        }
    }
}
