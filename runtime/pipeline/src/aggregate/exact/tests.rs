#![expect(clippy::float_cmp, reason = "sums are exact")]

use super::*;
use proptest::prelude::*;

fn sum(terms: &[f64]) -> Exact {
    let mut sum = Exact::default();
    for term in terms {
        sum.add_double(*term);
    }
    sum
}

fn double(sum: &Exact) -> f64 {
    match sum.total() {
        Total::Double(value) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sum_is_rounded_once() {
    assert_eq!(double(&sum(&[0.1; 10])), 1.0);
    assert_eq!(double(&sum(&[1e100, 1.0, -1e100])), 1.0);
    assert_eq!(double(&sum(&[1e-300, 1.0, -1.0])), 1e-300);
    assert_eq!(double(&sum(&[f64::MAX, f64::MAX, -f64::MAX])), f64::MAX);
    assert_eq!(double(&sum(&[f64::MAX, f64::MAX])), f64::INFINITY);
    assert_eq!(double(&sum(&[5e-324, 5e-324])), 1e-323);
    assert_eq!(double(&sum(&[9_007_199_254_740_992.0, 1.0])), 9_007_199_254_740_992.0, "a tie goes to even");
    assert_eq!(
        double(&sum(&[9_007_199_254_740_992.0, 1.0, 1e-30])),
        9_007_199_254_740_994.0,
        "just above a tie"
    );
    assert_eq!(double(&sum(&[-9_007_199_254_740_992.0, -1.0, -1e-30])), -9_007_199_254_740_994.0);
    assert_eq!(double(&sum(&[-0.0])), 0.0);
}

#[test]
fn integers_stay_integers_until_a_double_comes() {
    let mut mixed = Exact::default();
    assert_eq!(mixed.total(), Total::None);
    mixed.add_int(i64::MAX);
    mixed.add_int(i64::MAX);
    assert_eq!(mixed.total(), Total::Int(2 * i128::from(i64::MAX)));
    mixed.add_double(0.5);
    mixed.add_int(-i64::MAX);
    mixed.add_int(-i64::MAX);
    assert_eq!(mixed.total(), Total::Double(0.5), "nothing was rounded on the way");
}

#[test]
fn a_mean_never_leaves_the_range_of_its_terms() {
    assert_eq!(sum(&[f64::MAX, f64::MAX, f64::MAX]).mean(3), Some(f64::MAX));
    assert_eq!(sum(&[-f64::MAX; 7]).mean(7), Some(-f64::MAX));
    assert_eq!(sum(&[1e300, 3e300]).mean(2), Some(2e300));
    assert_eq!(sum(&[5e-324, 5e-324]).mean(2), Some(5e-324));
    assert_eq!(sum(&[1e-310, 3e-310]).mean(2), Some(2e-310));
    assert_eq!(sum(&[1.0, 2.0]).mean(2), Some(1.5));
    assert_eq!(Exact::default().mean(0), None);
}

/// The exact total as units of 2^-1074, schoolbook: one list of signed 32-bit digits that are never carried.
fn reference(terms: &[f64]) -> f64 {
    // Python's fsum algorithm by Shewchuk: partials that do not overlap, then one correct rounding.
    let mut partials: Vec<f64> = Vec::new();
    for &term in terms {
        let mut x = term;
        let mut kept = Vec::new();
        for &partial in &partials {
            let (big, small) = if x.abs() < partial.abs() { (partial, x) } else { (x, partial) };
            let high = big + small;
            let low = small - (high - big);
            if low != 0.0 {
                kept.push(low);
            }
            x = high;
        }
        kept.push(x);
        partials = kept;
    }
    let mut high = 0.0;
    while let Some(x) = partials.pop() {
        let before = high;
        high = before + x;
        let low = x - (high - before);
        if low != 0.0 {
            if let Some(next) = partials.last()
                && ((low < 0.0 && *next < 0.0) || (low > 0.0 && *next > 0.0))
            {
                let twice = low * 2.0;
                let candidate = high + twice;
                if candidate - high == twice {
                    high = candidate;
                }
            }
            break;
        }
    }
    high
}

fn term() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => -1e6..1e6,
        1 => (-1e6..1e6f64).prop_map(|x| x * 1e-12),
        1 => (any::<i64>(), -900i32..900).prop_map(|(m, e)| m as f64 * f64::from(e).exp2()),
        1 => (-1000i32..1000).prop_map(|x| f64::from(x) / 100.0),
    ]
}

proptest! {
    #[test]
    fn sums_are_correctly_rounded(terms in prop::collection::vec(term(), 1..40)) {
        prop_assert_eq!(double(&sum(&terms)), reference(&terms) + 0.0);
    }

    #[test]
    fn order_and_cut_do_not_matter(
        terms in prop::collection::vec((term(), any::<i64>(), any::<bool>()), 1..40),
        cut in 0usize..40, turn in 0usize..40,
    ) {
        let add = |part: &[(f64, i64, bool)]| {
            let mut sum = Exact::default();
            for (x, n, int) in part {
                if *int { sum.add_int(*n) } else { sum.add_double(*x) }
            }
            sum
        };
        let whole = add(&terms);
        let mut turned = terms.clone();
        turned.rotate_left(turn % terms.len());
        turned.reverse();
        let (left, right) = turned.split_at(cut % turned.len());
        let mut merged = add(left);
        let mut bytes = Vec::new();
        add(right).encode(&mut bytes);
        let mut reader = Reader::new(&bytes);
        merged.merge(&Exact::decode(&mut reader).unwrap());
        prop_assert!(reader.end("end").is_ok());
        prop_assert_eq!(merged.total(), whole.total());
        prop_assert_eq!(merged.mean(7).map(f64::to_bits), whole.mean(7).map(f64::to_bits));
    }

    #[test]
    fn any_bytes_decode_and_add_up(bytes: Vec<u8>, value: f64, int: i64) {
        if let Ok(mut sum) = Exact::decode(&mut Reader::new(&bytes)) {
            let other = sum.clone();
            sum.merge(&other);
            sum.add_double(value);
            sum.add_int(int);
            sum.total();
            sum.mean(3);
        }
    }
}
