//! Writes the definitions as YAML into a folder: `cargo run -p crds --example generate -- crds`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("the folder to write to must be named")?);
    for definition in crds::all() {
        std::fs::write(folder.join(format!("{}.yaml", definition.plural)), crds::yaml(definition)?)?;
    }
    Ok(())
}
