//! Writes the definitions as YAML into folders: `cargo run -p crds --example generate -- crds charts/weir/files/crds`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for folder in std::env::args_os().skip(1).map(PathBuf::from) {
        for definition in crds::all() {
            std::fs::write(folder.join(format!("{}.yaml", definition.plural)), crds::yaml(definition)?)?;
        }
    }
    Ok(())
}
