//! Writes what is made of the definitions: their YAML into each folder, the reference into each Markdown file.
//! `cargo run -p crds --example generate -- crds charts/weir/files/crds config/crd docs/reference/crds.md`

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for place in std::env::args_os().skip(1).map(PathBuf::from) {
        if place.extension().is_some_and(|ending| ending == "md") {
            std::fs::write(place, crds::page::page()?)?;
            continue;
        }
        for definition in crds::all() {
            std::fs::write(place.join(format!("{}.yaml", definition.plural)), crds::yaml(definition)?)?;
        }
    }
    Ok(())
}
