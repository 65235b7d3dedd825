//! The status of a window by its users.

use super::status;
use crds::{StreamPipeline, StreamWindow};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use kube::runtime::watcher;
use tokio::sync::watch;

const WINDOW: &str = "
apiVersion: weir.dev/v1alpha1
kind: StreamWindow
metadata: {name: per-user-5m, namespace: shop, generation: 3}
spec:
  keyBy: [user_id, country]
  tumbling: {size: 5m}
  aggregates: [{name: clicks, function: Count}]
";

fn pipeline(name: &str, window: &str, open: i64) -> StreamPipeline {
    let text = format!(
        "
apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: {name}, namespace: shop}}
spec:
  sources: [{{name: clicks, kafka: {{topic: clicks}}}}]
  steps: [{{name: w, windowRef: {{name: {window}}}}}]
  sinks: [{{name: out, log: {{}}}}]
status:
  windows: [{{step: w, windowRef: {window}, open: {open}, late: 1}}]
"
    );
    serde_saphyr::from_str(&text).expect("a pipeline")
}

#[test]
fn a_window_says_who_uses_it_and_what_it_holds() {
    let window: StreamWindow = serde_saphyr::from_str(WINDOW).expect("a window");
    let pipelines =
        [pipeline("b", "per-user-5m", 40), pipeline("a", "per-user-5m", 2), pipeline("c", "another", 7)];
    let now = Time(Timestamp::UNIX_EPOCH);
    let seen = status(&window, pipelines.iter(), &now);
    assert_eq!(
        (seen.r#type.as_deref(), seen.size.as_deref(), seen.keys.as_deref()),
        (Some("Tumbling"), Some("5m"), Some("user_id,country"))
    );
    assert_eq!((seen.used_by, seen.open, seen.late), (Some(2), Some(42), Some(2)));
    assert_eq!((seen.users, seen.observed_generation), (vec!["a".to_owned(), "b".to_owned()], 3));
    let mut unknown = pipelines.clone();
    unknown[0].status.as_mut().expect("a status").windows[0].open = None;
    let seen = status(&window, unknown.iter(), &now);
    assert_eq!((seen.open, seen.late), (None, Some(2)), "unknown is not less");
    let unused = status(&window, pipelines.iter().skip(2), &now);
    assert_eq!((unused.used_by, unused.open, unused.late), (Some(0), None, None));
}

/// An operator that has just started has listed no pipeline yet: nobody uses no window for that reason. Every window that
/// waits is woken.
#[tokio::test]
async fn windows_wait_until_all_pipelines_are_listed() {
    let (store, mut writer) = kube::runtime::reflector::store();
    let (tell, listed) = watch::channel(false);
    let mut first = waiting(&store, &listed);
    let mut second = waiting(&store, &listed);
    assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
    writer.apply_watcher_event(&watcher::Event::Init);
    writer.apply_watcher_event(&watcher::Event::InitApply(DeserializeGuard(Ok(pipeline(
        "a",
        "per-user-5m",
        2,
    )))));
    writer.apply_watcher_event(&watcher::Event::InitDone);
    tell.send(true).expect("somebody waits");
    assert_eq!(futures::join!(first, second), (Some(1), Some(1)));
}

/// A window's wait, with a waker of its own.
fn waiting(
    store: &Store<DeserializeGuard<StreamPipeline>>,
    listed: &watch::Receiver<bool>,
) -> std::pin::Pin<Box<dyn Future<Output = Option<usize>>>> {
    let (store, listed) = (store.clone(), listed.clone());
    Box::pin(async move { super::known(&store, listed).await.map(|pipelines| pipelines.len()) })
}
