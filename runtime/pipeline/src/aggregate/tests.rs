use super::*;
use crate::column::FieldPath;

fn aggregate(function: AggregateFunction) -> Aggregate {
    Aggregate { name: "a".into(), function, field: Some(FieldPath(vec!["v".into()])) }
}

fn result(function: AggregateFunction, values: &[Scalar]) -> String {
    let mut accumulators = Accumulators::new(&[aggregate(function)]);
    accumulators.grow(2);
    for value in values {
        accumulators.add_scalar(0, 1, value);
    }
    let mut out = Vec::new();
    accumulators.write_json(0, 1, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn extremes_compare_across_types() {
    let values = [
        Scalar::Int(3),
        Scalar::None,
        Scalar::Double(2.5),
        Scalar::String("z".into()),
        Scalar::Bool(true),
        Scalar::String("ä\"".into()),
    ];
    assert_eq!(result(AggregateFunction::Min, &values), "true");
    assert_eq!(result(AggregateFunction::Max, &values), r#""ä\"""#);
    assert_eq!(result(AggregateFunction::Min, &values[..3]), "2.5");
    assert_eq!(result(AggregateFunction::Max, &[]), "null");
}

#[test]
fn integers_beyond_64_bits_add_as_doubles_and_compare_as_they_are() {
    let huge = Scalar::Decimal("123456789012345678901".into());
    assert_eq!(result(AggregateFunction::Max, &[Scalar::Int(1), huge.clone()]), "123456789012345678901");
    assert_eq!(result(AggregateFunction::Sum, &[Scalar::Int(1), huge]), "1.2345678901234568e+20");
}

#[test]
fn every_tag_has_its_functions() {
    let takes_text = |function| takes(function).contains(Tag::String);
    assert!(takes_text(AggregateFunction::Min) && takes_text(AggregateFunction::Count));
    assert!(!takes_text(AggregateFunction::Sum) && !takes_text(AggregateFunction::Average));
    assert!(!takes(AggregateFunction::Max).contains(Tag::Json));
    assert!(takes(AggregateFunction::Count).contains(Tag::Json));
}
