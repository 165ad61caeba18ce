//! `transforms build`: an author's module, or a workspace of them.

use std::path::PathBuf;

use anyhow::ensure;
use transform_host::build::{self, one};

use crate::author::show::{plain, plain_error};
use crate::author::{scaffold, trial};

/// The flags of `build`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The folder of a module; with --out a workspace of modules too
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Build every module of the workspace and write <name>.wasm for each into this folder [default: the one module,
    /// written into its own folder]
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Builds, and prints the path of each component.
///
/// # Errors
/// When something does not compile, or what was compiled would be refused as an upload.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(out) = &args.out {
        for module in build::guests(&args.dir, out)? {
            println!("{}", module.display());
        }
        return Ok(());
    }
    warn_of_other_kit(&args.dir);
    let built = one::build(&args.dir, &one::How { shown: true, ..one::How::default() })?;
    // Better here than at the upload.
    let module = trial::engine()?.load(&built.wasm).map_err(|error| plain_error(&error.into()))?;
    let described = module.description();
    ensure!(
        described.name == built.name,
        "Cargo.toml says name = {:?}, #[transform] makes {:?} of its function; call both the same, or write \
         #[transform(schema = \"…\", name = {0:?})]",
        built.name,
        described.name
    );
    let path = built.write(&args.dir)?;
    eprintln!("{}, {} bytes", plain(&module.label()), built.wasm.len());
    println!("{}", path.display());
    Ok(())
}

/// Says so when the kit in a module's folder came with another version of this command.
pub(super) fn warn_of_other_kit(dir: &std::path::Path) {
    if scaffold::is_other_kit(dir) {
        eprintln!(
            "note: {} came with another version of transforms; `transforms new --kit` brings this one's",
            dir.join("kit").display()
        );
    }
}
