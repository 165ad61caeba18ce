//! A module that passed all checks, and what it says of itself.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, types::ComponentItem};

use crate::{
    Engine, bindings,
    describe::{self, Description},
    instance::{Instance, joined},
    schema::Shape,
    state::State,
    tables::NoTables,
};

/// Why an upload is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// More bytes than [`crate::Limits::module_bytes`].
    #[error("the module has {size} bytes, the limit is {limit}; build it with --release, or raise the limit")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a WebAssembly component.
    #[error("not a WebAssembly component ({0}); build it with `transforms build`")]
    NotAComponent(String),
    /// It wants more of the host than `log`, `metric` and `lookup`.
    #[error("the module imports `{0}`; a transform may import log, metric and lookup, and no WASI")]
    Import(String),
    /// It does not export what the world says.
    #[error("the module's exports are not those of {world}: {0}", world = transform_frame::WORLD)]
    Export(String),
    /// `describe` failed.
    #[error("the module cannot describe itself: {0}")]
    Describe(String),
    /// It was built for another version of the world.
    #[error("the module was built for `{0}`, this host runs {worlds}; build it again with this SDK", worlds = transform_frame::WORLDS.join(" and "))]
    World(String),
    /// Its name is none.
    #[error("the module's name `{0}` is not [a-z][a-z0-9-]* of at most 64 characters")]
    Name(String),
    /// Its version is none.
    #[error("the module's version `{0}` is not major.minor.patch such as 1.4.0; a pipeline can name no other")]
    Version(String),
    /// It reads a payload that this host does not write.
    #[error("the module reads JSON; this host gives Avro only")]
    Payload,
    /// The schema that it was built for is none.
    #[error("the module's schema cannot be read: {0}")]
    Schema(String),
    /// It describes a parameter that cannot be.
    #[error("the module's parameter `{name}`: {reason}")]
    Parameter {
        /// The parameter's name.
        name: String,
        /// Why it cannot be.
        reason: String,
    },
}

impl LoadError {
    /// The check that refused it, as one word that never changes: for the problem's member and the audit.
    pub fn check(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "size",
            Self::NotAComponent(_) => "validation",
            Self::Import(_) => "imports",
            Self::Export(_) => "exports",
            Self::World(_) => "world",
            Self::Describe(_) | Self::Name(_) | Self::Version(_) | Self::Payload | Self::Schema(_) => "describe",
            Self::Parameter { .. } => "parameters",
        }
    }
}

/// A compiled module.
pub struct Module {
    engine: Arc<Engine>,
    pre: bindings::TransformPre<State>,
    description: Description,
    shape: Option<Shape>,
    digest: String,
}

impl Module {
    pub(crate) fn load(engine: &Arc<Engine>, wasm: &[u8]) -> Result<Self, LoadError> {
        let limit = engine.limits().module_bytes;
        if wasm.len() > limit {
            return Err(LoadError::TooLarge { size: wasm.len(), limit });
        }
        // wasmtime takes nothing but binary components here: its text format and precompiled files are not enabled.
        let component = Component::from_binary(engine.wasmtime(), wasm);
        let component = component.map_err(|error| LoadError::NotAComponent(joined(&error)))?;
        check_imports(engine, &component)?;
        let export = |error: wasmtime::Error| LoadError::Export(joined(&error));
        let pre = engine.linker().instantiate_pre(&component).map_err(export)?;
        let pre = bindings::TransformPre::new(pre).map_err(export)?;
        let description = Instance::start(engine, &pre, Arc::new(NoTables))
            .and_then(|mut instance| instance.describe(engine.limits().start))
            .map_err(|fault| LoadError::Describe(fault.reason))?;
        let description = describe::check(description)?;
        let shape = description.schema.as_deref().map(Shape::parse).transpose().map_err(LoadError::Schema)?;
        Ok(Self { engine: Arc::clone(engine), pre, description, shape, digest: digest(wasm) })
    }

    /// What the module says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// SHA-256 of the component, 64 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// `name@version+sha256:<first 12 digits>`, as in the header `orderflow.modules`.
    pub fn label(&self) -> String {
        let digest = self.digest.get(..12).unwrap_or(&self.digest);
        format!("{}@{}+sha256:{digest}", self.description.name, self.description.version)
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn pre(&self) -> &bindings::TransformPre<State> {
        &self.pre
    }

    /// The shape of the schema that it was built for; `None`: it takes any.
    pub(crate) fn shape(&self) -> Option<&Shape> {
        self.shape.as_ref()
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("label", &self.label()).finish_non_exhaustive()
    }
}

/// By name, before wasmtime looks at types, so that the refusal says what is wanted and not allowed.
fn check_imports(engine: &Engine, component: &Component) -> Result<(), LoadError> {
    for (name, item) in component.component_type().imports(engine.wasmtime()) {
        let known = match item.ty {
            ComponentItem::ComponentFunc(_) => ["log", "metric", "lookup"].contains(&name),
            // The world's own types, such as `level`.
            ComponentItem::Type(_) => true,
            _ => false,
        };
        if !known {
            return Err(LoadError::Import(name.to_owned()));
        }
    }
    Ok(())
}

/// SHA-256 of a component, 64 hexadecimal digits: as [`Module::digest`], without compiling it.
pub fn digest(wasm: &[u8]) -> String {
    Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect()
}
