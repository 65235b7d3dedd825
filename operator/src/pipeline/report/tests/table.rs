//! The truth table: what people and tools are told in each situation, and what holds in all of them.

use super::argocd::health;
use super::columns::columns;
use super::kstatus::{Verdict, kstatus};
use super::situations::{Situation, situations};
use control::{Condition as Kind, Reason};
use crds::condition::find;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The page for people.
const PAGE: &str = include_str!("../../../../../docs/reference/status.md");

fn conditions(situation: &Situation) -> Vec<Condition> {
    let conditions = situation.object["status"]["conditions"].clone();
    if conditions.is_null() { Vec::new() } else { serde_json::from_value(conditions).expect("conditions") }
}

fn row(situation: &Situation) -> String {
    let mut text = format!("{}\n", situation.name);
    let (argo, said) = health(&situation.object);
    let cells = columns(situation.kind, &situation.object, situation.now);
    let cells = cells.iter().filter(|(head, cell)| head != "MESSAGE" && !cell.is_empty());
    let cells: Vec<String> = cells.map(|(head, cell)| format!("{head} {cell}")).collect();
    let ready = find(&conditions(situation), Kind::Ready).cloned();
    let mut line = |line: String| writeln!(text, "  {line}").expect("a text");
    line(cells.join(" | "));
    for (at, part) in ready.iter().flat_map(|ready| ready.message.lines()).enumerate() {
        line(format!("{} {part}", if at == 0 { "message:" } else { "        " }));
    }
    if let Some(planned) = situation.object["status"]["plannedAction"].as_str() {
        line(format!("planned: {planned}"));
    }
    line(format!("kstatus {:?}, Argo CD {argo}: {}", kstatus(&situation.object), said.replace('\n', " / ")));
    for condition in conditions(situation).iter().filter(|condition| condition.type_ != "Ready") {
        let same = ready.as_ref().is_some_and(|ready| ready.message == condition.message);
        let message = if same { "(the same)".to_owned() } else { condition.message.replace('\n', " / ") };
        line(format!("{}={}/{}: {message}", condition.type_, condition.status, condition.reason));
    }
    for event in &situation.events {
        let note = event.note.as_deref().unwrap_or_default().replace('\n', " / ");
        line(format!("event {:?} {}: {note}", event.type_, event.reason));
    }
    text
}

#[test]
fn what_is_told_in_each_situation() {
    let situations = situations();
    assert!(situations.len() >= 40, "{}", situations.len());
    let rows: Vec<String> = situations.iter().map(row).collect();
    insta::assert_snapshot!(rows.join("\n"));
}

#[test]
fn the_rules_of_kstatus_hold_in_each_situation() {
    let judged = |situation: &&Situation| {
        let object = &situation.object;
        object["status"]["observedGeneration"] == object["metadata"]["generation"]
    };
    for situation in situations().iter().filter(judged) {
        let (name, conditions) = (situation.name, conditions(situation));
        let generation = situation.object["metadata"]["generation"].as_i64();
        assert!(conditions.iter().all(|condition| condition.observed_generation == generation), "{name}");
        let has = |kind| find(&conditions, kind).is_some();
        assert!(!(has(Kind::Reconciling) && has(Kind::Stalled)), "{name}");
        let ready = find(&conditions, Kind::Ready).expect("always there");
        assert_eq!(ready.status == "True", !has(Kind::Reconciling) && !has(Kind::Stalled), "{name}");
        assert!(conditions.iter().all(|condition| Reason::parse(&condition.reason).is_some()), "{name}");
    }
}

/// Tools that read other parts of the status come to the same end.
#[test]
fn kstatus_and_argo_cd_agree_in_each_situation() {
    for situation in situations() {
        let argo = health(&situation.object).0;
        let agreed: &[&str] = match kstatus(&situation.object) {
            Verdict::Current => &["Healthy", "Suspended"],
            Verdict::Failed => &["Degraded"],
            Verdict::InProgress | Verdict::Terminating => &["Progressing"],
        };
        assert!(agreed.contains(&argo.as_str()), "{}: {argo}", situation.name);
    }
}

/// The text says what, where and what to do: it is never empty, and fits into an event.
#[test]
fn nothing_is_said_without_a_word() {
    for situation in situations() {
        for condition in conditions(&situation) {
            assert!(!condition.message.is_empty(), "{}: {}", situation.name, condition.type_);
        }
        for event in &situation.events {
            let note = event.note.as_deref().unwrap_or_default();
            assert!(!note.is_empty() && note.len() <= 1_000, "{}: {}", situation.name, event.reason);
        }
    }
}

/// The words of the first column of a table of the page, which begins with this head.
fn listed(head: &str) -> BTreeSet<String> {
    let from = PAGE.find(&format!("| {head} |")).unwrap_or_else(|| panic!("no table `{head}`"));
    let rows = PAGE[from..].lines().skip(2).take_while(|line| line.starts_with('|'));
    let first = rows.filter_map(|row| row.split('`').nth(1));
    first.map(str::to_owned).collect()
}

#[test]
fn the_page_lists_every_reason_and_says_which_are_not_used_yet() {
    let used: BTreeSet<String> =
        situations().iter().flat_map(conditions).map(|condition| condition.reason).collect();
    let (shown, kept) = (listed("STATUS"), listed("kept for later"));
    let all: BTreeSet<String> = Reason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    assert_eq!(shown, used, "reasons that some situation has");
    assert_eq!(kept, all.difference(&used).cloned().collect(), "reasons that no situation has");
    let conditions: BTreeSet<String> = Kind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
    assert_eq!(listed("condition"), conditions);
}

#[test]
fn the_page_lists_every_event_that_is_no_reason() {
    let events = super::events::OTHERS.iter().map(|reason| (*reason).to_owned()).collect();
    assert_eq!(listed("event"), events);
    let seen = situations().into_iter().flat_map(|situation| situation.events);
    for event in seen {
        let known = Reason::parse(&event.reason).is_some() || listed("event").contains(&event.reason);
        assert!(known, "{}", event.reason);
    }
}
