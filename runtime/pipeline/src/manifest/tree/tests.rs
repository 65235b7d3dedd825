use super::{Node, Source};
use crate::problem::Path;

/// Where the letter X of the text value `v` is found in the source.
fn find(yaml: &str) -> (u64, u64) {
    let root: Node = serde_saphyr::from_str(yaml).unwrap();
    let source = Source { name: "f".to_owned(), text: yaml.to_owned() };
    let value = root.get("v").and_then(Node::text).unwrap();
    let place = root.place(&source, &Path::root().field("v"), false, value.find('X'));
    (place.line, place.column)
}

#[test]
fn a_byte_of_a_text_value_is_found_in_every_style_of_yaml() {
    let cases = [
        ("v: a + X\n", (1, 8)),
        ("v: 'a + X'\n", (1, 9)),
        ("v: \"a + X\"\n", (1, 9)),
        ("v: 'it''s X'\n", (1, 11)),
        ("v: \"\\\"b\\\" X\"\n", (1, 11)),
        ("v: |\n  a\n    + X\n", (3, 7)),
        ("v: >-\n  a\n  + X\n", (3, 5)),
        ("v: a\n  + X\n", (2, 5)),
        ("v: 'zoë X'\n", (1, 9)),
        ("{u: 1, v: 'a X'}\n", (1, 14)),
    ];
    for (yaml, want) in cases {
        assert_eq!(find(yaml), want, "{yaml}");
    }
}

#[test]
fn a_path_that_does_not_exist_is_shown_at_its_deepest_part_that_does() {
    let yaml = "a:\n  b:\n    - c: 1\n";
    let root: Node = serde_saphyr::from_str(yaml).unwrap();
    let source = Source { name: "f".to_owned(), text: yaml.to_owned() };
    let at = |path: Path| {
        let place = root.place(&source, &path, false, None);
        (place.line, place.column)
    };
    let b = Path::root().field("a").field("b");
    assert_eq!(at(b.clone()), (2, 3));
    assert_eq!(at(b.index(0)), (3, 7));
    assert_eq!(at(b.index(0).field("c")), (3, 10));
    assert_eq!(at(b.index(0).field("d")), (3, 7));
    assert_eq!(at(b.index(7)), (2, 3));
    assert_eq!(at(Path::root().field("x").field("y")), (1, 1));
}
