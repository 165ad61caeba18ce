//! Guests that Rust cannot be: a built one with more written into it.

use std::convert::Infallible;

use wasm_encoder::{
    CodeSection, Component, ComponentSection as _, ComponentSectionId, Function, FunctionSection, HeapType,
    ImportSection, InstanceSection, Module, ModuleArg, ModuleSection, RawSection, RefType, TableSection, TableType,
    reencode::{Error, Reencode, utils},
};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, FunctionSectionReader, ImportSectionReader, Instance, Parser, Payload,
    TableSectionReader, TypeRef,
};

/// What a guest has of what the host counts.
#[derive(Debug, Default)]
pub(crate) struct Own {
    modules: u32,
    pub(crate) instances: usize,
    pub(crate) tables: usize,
    pub(crate) table_elements: usize,
    pub(crate) memories: usize,
}

/// Counts it; `wit-component` makes one instance of each core module.
pub(crate) fn own(guest: &[u8]) -> Own {
    let mut own = Own::default();
    for payload in Parser::new(0).parse_all(guest) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } => own.modules += 1,
            Payload::InstanceSection(instances) => {
                // The others are only names for what is exported elsewhere.
                let real = |instance: &Instance<'_>| matches!(instance, Instance::Instantiate { .. });
                own.instances += instances.into_iter().map(Result::unwrap).filter(real).count();
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    own.tables += 1;
                    own.table_elements += usize::try_from(table.unwrap().ty.initial).unwrap();
                }
            }
            Payload::MemorySection(memories) => own.memories += memories.into_iter().count(),
            _ => {}
        }
    }
    own
}

/// A table of functions with nothing in it.
pub(crate) fn table(elements: usize) -> TableType {
    TableType { element_type: RefType::FUNCREF, minimum: elements as u64, maximum: None, table64: false, shared: false }
}

/// The guest with so many instances of another core module beside its own. A component's sections may stand in any
/// order, so they are appended.
pub(crate) fn beside(guest: &[u8], core: &Module, times: usize) -> Vec<u8> {
    let modules = own(guest).modules;
    let mut instances = InstanceSection::new();
    for _ in 0..times {
        instances.instantiate(modules, std::iter::empty::<(&str, ModuleArg)>());
    }
    let mut wasm = guest.to_vec();
    ModuleSection(core).append_to_component(&mut wasm);
    instances.append_to_component(&mut wasm);
    wasm
}

/// The guest with another table, which grows by so many elements wherever it called `metric`.
pub(crate) fn growing(guest: &[u8], elements: usize) -> Vec<u8> {
    let elements = i32::try_from(elements).unwrap();
    // The main module is the first one; those behind it only connect it.
    let mut growing = Some(Growing { elements, ..Growing::default() });
    let mut component = Component::new();
    let mut copied = 0;
    for payload in Parser::new(0).parse_all(guest) {
        let Some((id, range)) = payload.unwrap().as_section() else { continue };
        if range.end <= copied {
            // A section of a core module, which was copied as a whole.
            continue;
        }
        copied = range.end;
        if let Some(mut growing) = growing.take_if(|_| id == u8::from(ComponentSectionId::CoreModule)) {
            let mut main = Module::new();
            growing.parse_core_module(&mut main, Parser::new(0), &guest[range]).unwrap();
            component.section(&ModuleSection(&main));
        } else {
            component.section(&RawSection { id, data: &guest[range] });
        }
    }
    component.finish()
}

/// Adds a table and a function that grows it, and puts the function in the place of the import `metric`.
#[derive(Default)]
struct Growing {
    elements: i32,
    /// The import and its type, by their indices.
    metric: Option<(u32, u32)>,
    /// A module's imported functions are numbered before its own.
    imported: u32,
    function: u32,
    table: u32,
}

impl Reencode for Growing {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error> {
        let replaced = self.metric.is_some_and(|(metric, _)| metric == function);
        Ok(if replaced { self.function } else { function })
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Error> {
        for import in section.clone().into_imports() {
            let import = import?;
            let TypeRef::Func(kind) = import.ty else { panic!("a guest imports functions only: {import:?}") };
            if import.name == "metric" {
                self.metric = Some((self.imported, kind));
            }
            self.imported += 1;
        }
        utils::parse_import_section(self, imports, section)
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        self.function = self.imported + functions.len();
        let (_, kind) = self.metric.expect("a guest that counts");
        functions.function(kind);
        Ok(())
    }

    fn parse_table_section(&mut self, tables: &mut TableSection, section: TableSectionReader<'_>) -> Result<(), Error> {
        utils::parse_table_section(self, tables, section)?;
        self.table = tables.len();
        tables.table(table(0));
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        let mut function = Function::new([]);
        function.instructions().ref_null(HeapType::FUNC).i32_const(self.elements).table_grow(self.table).drop().end();
        code.function(&function);
        Ok(())
    }

    /// Left out: the names of functions would be wrong.
    fn parse_custom_section(&mut self, _: &mut Module, _: CustomSectionReader<'_>) -> Result<(), Error> {
        Ok(())
    }
}
