//! Every word that a user may see is explained.

use control::{Condition, Reason};

const PAGE: &str = include_str!("../../../docs/reference/status.md");

#[test]
fn every_reason_and_condition_is_a_row_of_the_reference() {
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
    let conditions = Condition::ALL.iter().map(|condition| condition.as_str());
    for word in reasons.chain(conditions) {
        assert!(PAGE.lines().any(|line| line.starts_with(&format!("| `{word}` | "))), "`{word}` is missing");
    }
}
