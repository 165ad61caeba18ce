//! `transforms new`.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::author::orders::Shape;
use crate::author::{kit, scaffold};

/// The flags of `new`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The module's name: a-z, 0-9 and dashes
    #[arg(required_unless_present = "kit")]
    name: Option<String>,
    /// Where [default: a folder of the module's name; with --kit the current one]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The schema of the orders, where a field was added to it: schemas/order_placed.avsc of the checkout [default: this
    /// command's]
    #[arg(long, value_name = "FILE", conflicts_with = "kit")]
    schema: Option<PathBuf>,
    /// Bring kit/ (SDK, frame, WIT world) of a module that is there to this command's version; touches nothing else
    #[arg(long, conflicts_with = "name")]
    kit: bool,
}

/// Makes a module's folder and says what to do with it.
///
/// # Errors
/// When the name will not do or the folder cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    if args.kit {
        let dir = args.dir.unwrap_or_else(|| PathBuf::from("."));
        scaffold::renew(&dir)?;
        println!("{}", dir.join("kit").display());
        return Ok(());
    }
    let name = args.name.context("name the module")?;
    let dir = args.dir.unwrap_or_else(|| PathBuf::from(&name));
    let schema = match &args.schema {
        Some(file) => schema(file)?,
        None => kit::SCHEMA.1.to_owned(),
    };
    let dir = scaffold::make(&name, &dir, &schema)?;
    println!("{}", dir.display());
    let place = dir.display();
    eprintln!("next: cd {place} && cargo test && transforms dev, and change src/lib.rs");
    Ok(())
}

/// A schema that a module can be built for.
fn schema(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Shape::parse(&text).with_context(|| format!("{} is no schema of orders", file.display()))?;
    Ok(text)
}
