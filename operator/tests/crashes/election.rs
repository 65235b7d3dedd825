//! Operators that compete for the Lease of the API server in memory. Whatever happens, two never lead.

use crate::api::Api;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use operator::lease::{Elector, Handles, Term, Timing};
use operator::metrics::Metrics;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// As short as a Lease can be: it counts whole seconds.
pub const TIMING: Timing = Timing {
    lease: Duration::from_secs(1),
    renew_deadline: Duration::from_millis(600),
    retry: Duration::from_millis(100),
    call: Duration::from_millis(300),
};
/// Everything that is waited for comes long before.
const PATIENCE: Duration = Duration::from_secs(60);

/// One candidate.
pub struct Operator {
    /// Whether it leads.
    pub term: Term,
    finish: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Operator {
    /// Lets one compete.
    pub fn start(api: &Api, name: &str) -> Self {
        let server = api.clone();
        let service = tower::service_fn(move |request| server.clone().answer(request));
        let client = Client::new(service, "weir-system");
        let reporter = Reporter { controller: "weir-operator".to_owned(), instance: None };
        let handles = Handles {
            term: Term::default(),
            recorder: Recorder::new(client.clone(), reporter),
            metrics: Metrics::new().expect("metrics"),
        };
        let term = handles.term.clone();
        let me = Elector::identity(name);
        let elector = Elector::new(client, "weir-system", "weir-operator", me, TIMING, handles);
        let (finish, finished) = watch::channel(false);
        Self { term, finish, task: tokio::spawn(elector.run(finished)) }
    }
}

/// Waits until this holds, and sees that two never lead meanwhile.
pub async fn until(operators: &[Operator], done: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        // One after the other: the first may have ended before the second is asked, never the other way round.
        let leaders = operators.iter().filter(|operator| operator.term.lasts()).count();
        assert!(leaders <= 1, "{leaders} lead");
        assert!(Instant::now() < end, "it never comes to that");
        tokio::task::yield_now().await;
    }
}

fn holder(api: &Api) -> String {
    let lease = api.objects().all("leases").into_iter().next().unwrap_or(Value::Null);
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_lease_goes_to_another_when_its_holder_ends() {
    let api = Api::default();
    let mut operators = vec![Operator::start(&api, "a")];
    until(&operators, || operators[0].term.lasts()).await;
    assert!(holder(&api).starts_with("a_"));
    operators.push(Operator::start(&api, "b"));
    operators[0].finish.send(true).expect("it listens");
    until(&operators, || operators[1].term.lasts()).await;
    assert!(holder(&api).starts_with("b_"));
    operators.remove(0).task.await.expect("it ended by itself");
    let lease = api.objects().all("leases").remove(0);
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
    operators[0].finish.send(true).expect("it listens");
    until(&operators, || holder(&api).is_empty()).await;
    assert!(!operators[0].term.lasts());
}

#[tokio::test]
async fn the_lease_goes_to_another_when_its_holder_is_killed() {
    let api = Api::default();
    let mut operators = vec![Operator::start(&api, "a")];
    until(&operators, || operators[0].term.lasts()).await;
    operators.push(Operator::start(&api, "b"));
    operators[0].task.abort();
    until(&operators, || operators[1].term.lasts()).await;
    assert!(!operators[0].term.lasts());
    assert!(holder(&api).starts_with("b_"));
}

#[tokio::test]
async fn work_ends_while_the_api_server_is_away_and_begins_again_when_it_is_back() {
    let api = Api::default();
    let operators = vec![Operator::start(&api, "a"), Operator::start(&api, "b")];
    until(&operators, || operators.iter().any(|operator| operator.term.lasts())).await;
    let leader = operators.iter().find(|operator| operator.term.lasts()).expect("one leads");
    let term = leader.term.clone();
    let work = tokio::spawn(async move { term.during(std::future::pending::<()>()).await });
    api.objects().away = true;
    until(&operators, || work.is_finished()).await;
    assert_eq!(work.await.expect("it ended by itself"), None, "what was under way is abandoned");
    assert!(operators.iter().all(|operator| !operator.term.lasts()));
    api.objects().away = false;
    until(&operators, || operators.iter().any(|operator| operator.term.lasts())).await;
}

#[tokio::test]
async fn somebody_who_writes_into_the_lease_ends_a_term_at_once() {
    let api = Api::default();
    let operators = vec![Operator::start(&api, "a")];
    until(&operators, || operators[0].term.lasts()).await;
    let mut lease = api.objects().all("leases").remove(0);
    lease["spec"]["holderIdentity"] = Value::String("somebody".to_owned());
    api.objects().put("apis/coordination.k8s.io/v1/namespaces/weir-system/leases", lease);
    until(&operators, || !operators[0].term.lasts()).await;
    until(&operators, || operators[0].term.lasts()).await;
}
