use super::explain;
use pipeline::plan::load;
use std::path::Path;

#[test]
fn the_samples_are_explained() {
    for name in ["clicks-per-user", "filter-and-route", "sums-per-country"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../config/samples/{name}.yaml"));
        let text = std::fs::read_to_string(path).unwrap();
        let loaded = load([(name, text.as_str())]).unwrap();
        insta::assert_snapshot!(name, explain(&loaded.pipelines[0]));
    }
}
