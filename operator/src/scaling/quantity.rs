//! Amounts as Kubernetes writes them: `250m`, `2`, `512Mi`, `1e3`.

/// Endings with what they multiply by; the longer ones first.
const SUFFIXES: [(&str, f64); 14] = [
    ("Ki", 1_024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
];

/// The number that an amount stands for.
pub fn parse(text: &str) -> Option<f64> {
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    number.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn amounts_are_read() {
        for (text, expected) in [
            ("250m", Some(0.25)),
            ("2", Some(2.0)),
            ("512Mi", Some(536_870_912.0)),
            ("1.5Gi", Some(1_610_612_736.0)),
            ("1e3", Some(1_000.0)),
            ("3k", Some(3_000.0)),
            ("", None),
            ("Mi", None),
            ("much", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
