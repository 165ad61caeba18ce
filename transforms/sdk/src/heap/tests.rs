//! The heap: blocks keep apart, and what is given back is taken again.

use proptest::prelude::*;

use super::*;

/// A block in use, and the byte that it is filled with.
struct Block {
    at: *mut u8,
    layout: Layout,
    fill: u8,
}

impl Block {
    fn of(at: *mut u8, layout: Layout, fill: u8) -> Self {
        assert!(!at.is_null() && at.addr().is_multiple_of(layout.align()), "{layout:?}");
        // SAFETY: it was allocated with this layout.
        unsafe { at.write_bytes(fill, layout.size()) };
        Self { at, layout, fill }
    }

    /// The first bytes are still what they were filled with: no other block stands there.
    fn holds(&self, len: usize) {
        // SAFETY: it was allocated with at least so many bytes, and filled.
        let bytes = unsafe { std::slice::from_raw_parts(self.at, len) };
        assert!(bytes.iter().all(|byte| *byte == self.fill), "{:?}", self.layout);
    }
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![1_usize..70, 1_usize..700, Just(512_usize), Just(513_usize), 1_usize..20_000]
}

proptest! {
    #[test]
    fn blocks_keep_apart_and_keep_what_is_in_them(
        steps in prop::collection::vec((0_u8..3, sizes(), 0_u32..7, any::<prop::sample::Index>()), 1..200),
    ) {
        let heap = Heap::new();
        let mut used: Vec<Block> = Vec::new();
        for (step, (what, size, align, which)) in steps.into_iter().enumerate() {
            let fill = step as u8;
            let layout = Layout::from_size_align(size, 1 << align).unwrap();
            if what == 0 || used.is_empty() {
                // SAFETY: the layout is not of size zero.
                used.push(Block::of(unsafe { heap.alloc(layout) }, layout, fill));
                continue;
            }
            let block = used.swap_remove(which.index(used.len()));
            block.holds(block.layout.size());
            if what == 1 {
                // SAFETY: it was allocated here with this layout, and is not used any more.
                unsafe { heap.dealloc(block.at, block.layout) };
                continue;
            }
            let wanted = Layout::from_size_align(size, block.layout.align()).unwrap();
            // SAFETY: it was allocated here with this layout; the size is not zero.
            let moved = unsafe { heap.realloc(block.at, block.layout, size) };
            Block { at: moved, layout: wanted, fill: block.fill }.holds(size.min(block.layout.size()));
            used.push(Block::of(moved, wanted, fill));
        }
        for block in used {
            block.holds(block.layout.size());
            // SAFETY: it was allocated here with this layout, and is not used any more.
            unsafe { heap.dealloc(block.at, block.layout) };
        }
    }
}

#[test]
fn what_is_given_back_is_what_is_taken_next() {
    let (heap, layout) = (Heap::new(), Layout::from_size_align(40, 8).unwrap());
    // SAFETY: the layout is not of size zero; each block is given back with the layout that it was taken with.
    unsafe {
        let (first, second) = (heap.alloc(layout), heap.alloc(layout));
        assert_eq!(second.addr() - first.addr(), 48, "one behind the other");
        heap.dealloc(first, layout);
        let shorter = Layout::from_size_align(33, 1).unwrap();
        assert_eq!(heap.alloc(shorter), first, "48 bytes hold 33 as well");
        assert_eq!(heap.realloc(first, shorter, 48), first, "and 48");
    }
}
