//! WebAssembly that this host does not take: what advisories of the last years were about, and no module needs.

use transform_host::LoadError;
use wasm_encoder::{
    CodeSection, FieldType, Function, FunctionSection, HeapType, Instruction, MemorySection, MemoryType, Module,
    RefType, StorageType, TagKind, TagSection, TagType, TypeSection, ValType,
};

use crate::guests::engine;

/// A memory with nothing special about it.
pub(crate) const PLAIN: MemoryType =
    MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None };

/// A component with a core module of one function and these memories in it.
fn component(memories: &[MemoryType], locals: &[ValType], body: &[Instruction<'_>]) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut list = MemorySection::new();
    memories.iter().for_each(|memory| {
        list.memory(*memory);
    });
    let mut function = Function::new(locals.iter().map(|kind| (1, *kind)));
    body.iter().chain([&Instruction::End]).for_each(|instruction| {
        function.instruction(instruction);
    });
    let mut code = CodeSection::new();
    code.function(&function);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&list).section(&code);
    wrapped(&module.finish())
}

fn wrapped(core: &[u8]) -> Vec<u8> {
    assert!(core.len() < 128, "one byte of length");
    [&b"\0asm\x0d\0\x01\0\x01"[..], &[core.len() as u8], core].concat()
}

/// A component with a core module of nothing but a type in it.
fn typed(fill: impl FnOnce(&mut TypeSection, &mut Module)) -> Vec<u8> {
    let (mut types, mut behind) = (TypeSection::new(), Module::new());
    fill(&mut types, &mut behind);
    let mut module = Module::new();
    module.section(&types);
    let behind = behind.finish();
    wrapped(&[&module.finish()[..], &behind[8..]].concat())
}

#[test]
fn what_no_module_needs_is_off() {
    use Instruction::{Call, Drop, I32x4RelaxedTruncF32x4S, RefNull, ReturnCall, V128Const};
    let typed_reference = ValType::Ref(RefType { nullable: true, heap_type: HeapType::Concrete(0) });
    let tag = |_: &mut TypeSection, behind: &mut Module| {
        let mut tags = TagSection::new();
        tags.tag(TagType { kind: TagKind::Exception, func_type_idx: 0 });
        behind.section(&tags);
    };
    let mut wrong = Vec::new();
    for (name, wasm, words) in [
        ("simd", component(&[], &[], &[V128Const(1), Drop]), "SIMD"),
        ("relaxed simd", component(&[], &[ValType::V128], &[I32x4RelaxedTruncF32x4S]), "SIMD"),
        ("tail call", component(&[], &[], &[ReturnCall(0)]), "tail call"),
        ("several memories", component(&[PLAIN, PLAIN], &[], &[]), "multiple memories"),
        ("64-bit memory", component(&[MemoryType { memory64: true, ..PLAIN }], &[], &[]), "memory64"),
        ("shared memory", component(&[MemoryType { shared: true, maximum: Some(1), ..PLAIN }], &[], &[]), "threads"),
        ("small pages", component(&[MemoryType { page_size_log2: Some(0), ..PLAIN }], &[], &[]), "custom page sizes"),
        ("typed references", component(&[], &[typed_reference], &[]), "function references"),
        (
            "structs",
            typed(|types, _| {
                types.ty().struct_([FieldType { element_type: StorageType::Val(ValType::I32), mutable: true }]);
            }),
            "gc",
        ),
        (
            "exceptions",
            typed(|types, behind| {
                types.ty().function([], []);
                tag(types, behind);
            }),
            "exceptions",
        ),
    ] {
        match engine().load(&wasm) {
            Err(error @ LoadError::NotAComponent(_)) if error.to_string().contains(words) => {
                assert_eq!(error.check(), "validation");
            }
            other => wrong.push(format!("{name}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What Rust's code has is on: such a module is refused only because it exports nothing.
    let rust = component(&[PLAIN], &[ValType::FUNCREF], &[RefNull(HeapType::FUNC), Drop, Call(0)]);
    assert!(matches!(engine().load(&rust), Err(LoadError::Export(_))));
}
