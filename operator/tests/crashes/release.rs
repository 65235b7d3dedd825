//! What an uninstall leaves: pipelines whose deletion waits for nobody.

use crate::api::Api;
use crate::election::{Operator, TIMING, until};
use crate::{PIPELINES, pipeline};
use kube::Client;
use operator::release::{Options, release};
use serde_json::{Value, json};

fn options(delete: bool) -> Options {
    Options {
        namespace: Some("shop".to_owned()),
        lease: "weir-operator".to_owned(),
        lease_namespace: Some("weir-system".to_owned()),
        identity: "release".to_owned(),
        delete,
        patience_seconds: 1,
    }
}

fn client(api: &Api) -> Client {
    let api = api.clone();
    Client::new(tower::service_fn(move |request| api.clone().answer(request)), "weir-system")
}

fn held(name: &str, finalizers: &[&str]) -> Value {
    let mut object = pipeline();
    object["metadata"]["name"] = json!(name);
    object["metadata"]["finalizers"] = json!(finalizers);
    object
}

#[tokio::test]
async fn finalizers_are_taken_off_when_no_operator_works_any_more() {
    let api = Api::default();
    let operators = [Operator::start(&api, "a")];
    until(&operators, || operators[0].term.lasts()).await;
    api.objects().put(PIPELINES, held("one", &["weir.dev/cleanup"]));
    api.objects().put(PIPELINES, held("two", &["somebody/else", "weir.dev/cleanup"]));
    let mut unreadable = held("three", &["weir.dev/cleanup"]);
    unreadable["spec"] = json!("nothing that can be read");
    api.objects().put(PIPELINES, unreadable);
    release(&client(&api), &options(false), TIMING).await.expect("they are released");
    assert!(!operators[0].term.lasts(), "the operator has noticed");
    let left = |name: &str| {
        let all = api.objects().all("streampipelines");
        let found = all.into_iter().find(|pipeline| pipeline["metadata"]["name"] == name).expect("it stays");
        found["metadata"]["finalizers"].clone()
    };
    assert_eq!(left("one"), json!([]));
    assert_eq!(left("two"), json!(["somebody/else"]));
    assert_eq!(left("three"), json!([]));
    let lease = api.objects().all("leases").remove(0);
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    assert!(holder.starts_with("release_"), "no operator begins meanwhile: {holder}");
}

#[tokio::test]
async fn pipelines_that_are_deleted_and_that_nobody_cleans_up_after_go_all_the_same() {
    let api = Api::default();
    api.objects().put(PIPELINES, held("one", &["weir.dev/cleanup"]));
    api.objects().put(PIPELINES, held("two", &[]));
    release(&client(&api), &options(true), TIMING).await.expect("they are released");
    assert_eq!(api.objects().all("streampipelines"), Vec::<Value>::new());
}
