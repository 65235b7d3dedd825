//! The control API from the caller's side, against a server that answers as pods do, and as they must not.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse;
use control::call::DrainId;
use operator::pods::{Address, Error, Instruction, Pods};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

const STATUS: &str = include_str!("../../runtime/control/tests/golden/pod-status-v1.json");

/// Method, path and body of every call.
type Heard = Arc<Mutex<Vec<(Method, String, String)>>>;

/// A pod that answers every call with this.
async fn pod(status: StatusCode, answer: impl Into<String>) -> (Address, Heard) {
    let heard = Heard::default();
    let answer = answer.into();
    let router = Router::new().fallback({
        let heard = heard.clone();
        async move |method: Method, uri: Uri, body: String| {
            heard.lock().expect("no test panics holding it").push((method, uri.path().to_owned(), body));
            (status, Body::from(answer)).into_response()
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = Address(listener.local_addr().expect("bound").to_string());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, heard)
}

fn pods() -> Pods {
    // Another test of this process may have installed it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Pods::new().expect("a client")
}

#[tokio::test]
async fn a_pod_is_asked_and_answers() {
    let (address, heard) = pod(StatusCode::OK, STATUS).await;
    let status = pods().status(&address).await.expect("an answer");
    assert_eq!((status.generation, status.units.len()), (2, 2));
    assert_eq!(heard.lock().expect("free")[0], (Method::GET, "/control/v1/status".to_owned(), String::new()));
}

#[tokio::test]
async fn every_instruction_reaches_every_pod() {
    let (first, heard) = pod(StatusCode::ACCEPTED, r#"{"generation":2}"#).await;
    let (second, also_heard) = pod(StatusCode::ACCEPTED, r#"{"generation":2}"#).await;
    let id = DrainId::new("g2-1").expect("an id");
    let both = [first, second];
    for instruction in [Instruction::Promote(2), Instruction::Drain(id.clone()), Instruction::Resume(id)] {
        assert_eq!(pods().tell(&both, &instruction).await, 0, "{instruction:?}");
    }
    let calls = heard.lock().expect("free").clone();
    let paths: Vec<&str> = calls.iter().map(|(_, path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/control/v1/promote/2", "/control/v1/drain/g2-1", "/control/v1/resume/g2-1"]);
    assert_eq!(calls[1].2, r#"{"cut":true}"#);
    assert!(calls.iter().all(|(method, _, _)| method == Method::POST));
    assert_eq!(also_heard.lock().expect("free").len(), 3);
}

#[tokio::test]
async fn who_refuses_or_is_gone_is_counted_and_keeps_nobody_from_hearing() {
    let (good, heard) = pod(StatusCode::ACCEPTED, "").await;
    let (refuses, _) = pod(StatusCode::CONFLICT, "").await;
    let gone = Address("127.0.0.1:1".to_owned());
    assert_eq!(pods().tell(&[gone, refuses, good], &Instruction::Promote(2)).await, 2);
    assert_eq!(heard.lock().expect("free").len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error_that_names_the_pod() {
    let other_version = STATUS.replace("\"apiVersion\": \"v1\"", "\"apiVersion\": \"v2\"");
    let cases = [
        (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, other_version),
        (StatusCode::OK, " ".repeat(5 << 20)),
    ];
    let mut errors = Vec::new();
    for (status, answer) in cases {
        let (address, _) = pod(status, answer).await;
        let error = pods().status(&address).await.expect_err("no status");
        assert!(error.to_string().contains(&address.0), "{error}");
        errors.push(error);
    }
    assert!(matches!(
        errors[..],
        [Error::Status { status: 500, .. }, Error::Decode { .. }, Error::Version { .. }, Error::TooLong(_)]
    ));
}

#[tokio::test]
async fn a_pod_that_does_not_answer_is_given_up_after_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = Address(listener.local_addr().expect("bound").to_string());
    let (good, _) = pod(StatusCode::OK, STATUS).await;
    let answers = pods().statuses(&[address, good]).await;
    assert!(matches!(answers[0], Err(Error::Call { .. })));
    assert!(answers[1].is_ok(), "the others are heard, in their order");
}
