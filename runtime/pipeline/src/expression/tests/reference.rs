//! The examples of the reference page give what it says, and what it says is refused is refused with those words.

use super::results;
use crate::expression::Expression;

const PAGE: &str = include_str!("../../../../../docs/reference/expressions.md");

/// The text of all blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    PAGE.split(&open).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
}

#[test]
fn examples_give_what_the_page_says() {
    let record = blocks("json").concat();
    let mut examples = 0;
    for line in blocks("cel").iter().flat_map(|block| block.lines()) {
        let (text, expected) = line.rsplit_once(" // ").expect(line);
        assert_eq!(results(text, &[&record]), [expected], "{text}");
        examples += 1;
    }
    assert!(examples > 40, "{examples}");
}

#[test]
fn refusals_are_those_of_the_page() {
    let (_, table) = PAGE.split_once("| refused | because |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut refused = 0;
    for row in rows {
        let (text, because) = row.trim_matches('|').split_once("` | ").expect(row);
        let text = text.trim().trim_start_matches('`');
        assert_eq!(Expression::compile(text).expect_err(text).message, because.trim(), "{text}");
        refused += 1;
    }
    assert_eq!(refused, 5);
}
