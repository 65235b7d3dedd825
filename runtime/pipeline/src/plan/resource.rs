//! `resources`: no part of the plan, and what the API server would refuse when pods are made is a problem before.

use super::problems::{At, Problems};
use crate::problem::ProblemKind;
use crate::spec::Resources;

/// What may stand behind a number, and by how much it multiplies; `m` divides by 1 000.
const SUFFIXES: [(&str, u128); 9] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("", 1),
];

/// A pod may not be guaranteed more than it may use.
pub(super) fn check(given: &Resources, at: &At, problems: &mut Problems) {
    let (Some(requests), Some(limits)) = (&given.requests, &given.limits) else { return };
    let pairs = [("cpu", &requests.cpu, &limits.cpu), ("memory", &requests.memory, &limits.memory)];
    for (name, request, limit) in pairs {
        let (Some(request), Some(limit)) = (request, limit) else { continue };
        let above =
            thousandths(request).zip(thousandths(limit)).is_some_and(|(request, limit)| request > limit);
        if above {
            let message = format!(
                "a pod asks for {request} and may use {limit}; ask for less, or raise `limits.{name}`"
            );
            problems.add(ProblemKind::OutOfBounds, &at.field("requests").field(name), message);
        }
    }
}

/// An amount in thousandths; none when it is none, which the shape of the field says.
fn thousandths(amount: &str) -> Option<u128> {
    if let Some(milli) = amount.strip_suffix('m') {
        return Some(decimal(milli)? / 1_000);
    }
    let (number, factor) =
        SUFFIXES.iter().find_map(|(suffix, factor)| Some((amount.strip_suffix(suffix)?, factor)))?;
    decimal(number)?.checked_mul(*factor)
}

/// A number with a fraction of which three digits count, in thousandths.
fn decimal(number: &str) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u128>().ok()?.checked_mul(1_000)?.checked_add(digits.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_compare_whatever_their_unit() {
        let ascending = [
            "50m", "0.5", "1", "1.5", "1500", "2k", "2Ki", "1M", "1Mi", "999M", "1G", "1Gi", "1.5Gi", "1T",
            "1Ti",
        ];
        let amounts: Vec<u128> =
            ascending.iter().map(|amount| thousandths(amount).expect("an amount")).collect();
        assert!(amounts.is_sorted_by(|a, b| a < b), "{amounts:?}");
        assert_eq!(thousandths("500m"), thousandths("0.5"));
        assert_eq!(thousandths("lots"), None);
    }

    #[test]
    fn a_request_above_the_limit_is_told() {
        let text = "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {name: a}\nspec:\n  kafka: {bootstrapServers: 'k:1'}\n  resources: {requests: {cpu: '2', memory: 1Gi}, limits: {cpu: 500m, memory: 1Gi}}\n  sources: [{name: in, kafka: {topic: in}}]\n  sinks: [{name: out, kafka: {topic: out}}]\n";
        let problems = crate::plan::from_yaml(text).expect_err("refused");
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert!(
            problem.to_string().contains("spec.resources.requests.cpu: a pod asks for 2 and may use 500m"),
            "{problem}"
        );
        assert!(crate::plan::from_yaml(&text.replace("cpu: '2'", "cpu: 50m")).is_ok());
    }
}
