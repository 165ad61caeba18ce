//! The allocator of a guest. A transform makes and drops some twenty short texts a record, so a block of up to 512 bytes
//! is taken from a list of its size and put back there: a few instructions each, a third of what Rust's own allocator
//! takes.
//!
//! What was once a short block is one for ever, of its size. So a guest's lists hold what it once had in use of each
//! size and the rests of chunks, and a module that fills its memory with blocks of one size, drops them and fills it
//! with another needs more than with Rust's own allocator, which gets all that is longer, or that is to stand on more
//! than 16 bytes.

#[cfg(test)]
mod tests;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::UnsafeCell,
    ptr::{self, NonNull},
};

/// A list's blocks are so many bytes longer than those of the list before.
const STEP: usize = 16;
/// Of 16, 32, … 512 bytes.
const LISTS: usize = 32;
/// What is asked of Rust's own allocator at a time, to be cut into blocks.
const CHUNK: usize = 4 << 10;

/// Allocates for one thread: a guest has no other.
pub(crate) struct Heap(UnsafeCell<Lists>);

struct Lists {
    /// The first free block of each size, which begins with the address of the next one.
    free: [Option<NonNull<Free>>; LISTS],
    /// What is left of the chunk that is being cut.
    chunk: *mut u8,
    left: usize,
}

struct Free {
    next: Option<NonNull<Free>>,
}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(Lists { free: [None; LISTS], chunk: ptr::null_mut(), left: 0 }))
    }
}

/// The list for a layout; `None`: it is not for lists.
fn list(layout: Layout) -> Option<usize> {
    let list = layout.size().checked_sub(1)? / STEP;
    (list < LISTS && layout.align() <= STEP).then_some(list)
}

impl Lists {
    /// A block of `(list + 1) * STEP` bytes; null when there is no more memory.
    fn take(&mut self, list: usize) -> *mut u8 {
        let Some(head) = self.free.get_mut(list) else { return ptr::null_mut() };
        if let Some(block) = *head {
            // SAFETY: a block in a list is free, is at least STEP bytes long and was begun with a `Free` by `give`.
            *head = unsafe { block.as_ref().next };
            return block.as_ptr().cast();
        }
        self.cut((list + 1) * STEP)
    }

    #[cold]
    fn cut(&mut self, size: usize) -> *mut u8 {
        if self.left < size {
            let Ok(layout) = Layout::from_size_align(CHUNK, STEP) else { return ptr::null_mut() };
            // SAFETY: the layout is not of size zero.
            let chunk = unsafe { System.alloc(layout) };
            if chunk.is_null() {
                return chunk;
            }
            // What was left of the last chunk, less than one block of this size, is given up.
            (self.chunk, self.left) = (chunk, CHUNK);
        }
        let block = self.chunk;
        self.left -= size;
        // SAFETY: `left` bytes of the chunk stand from `chunk` on, and `size` is not more.
        self.chunk = unsafe { block.add(size) };
        block
    }

    /// Takes a block back into its list.
    ///
    /// # Safety
    /// The block came from `take` for the same list, and nobody uses it any more.
    unsafe fn give(&mut self, list: usize, block: *mut u8) {
        if let (Some(head), Some(block)) = (self.free.get_mut(list), NonNull::new(block.cast::<Free>())) {
            // SAFETY: by the caller's word these are at least STEP bytes that stand on STEP and are nobody's.
            unsafe { block.write(Free { next: *head }) };
            *head = Some(block);
        }
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
compile_error!("this allocator is for guests without threads; turn the feature `allocator` off");

// SAFETY: `#[global_allocator]` asks for it; a guest has one thread (see above), and no call below comes back into
// another.
unsafe impl Sync for Heap {}

// SAFETY: a block is in one list or in use, never both: `take` takes it out, `give` puts it in, by the layout that both
// are called with. Blocks are cut one behind the other, at multiples of STEP from a chunk that stands on STEP.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match list(layout) {
            // SAFETY: nobody else has the lists at this time.
            Some(list) => unsafe { &mut *self.0.get() }.take(list),
            // SAFETY: the caller's word is passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match list(layout) {
            // SAFETY: nobody else has the lists at this time; by the caller's word the block is one of this layout.
            Some(list) => unsafe { (*self.0.get()).give(list, block) },
            // SAFETY: the caller's word is passed on; by its layout the block came from there.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return ptr::null_mut() };
        match (list(layout), list(wanted)) {
            (Some(had), Some(has)) if had == has => block,
            // SAFETY: the caller's word is passed on; neither is for lists.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            _ => {
                // SAFETY: `wanted` is not of size zero by the caller's word; the two blocks are both alive, hence apart, and
                // both have the bytes that are copied; the old one is given up last.
                unsafe {
                    let moved = self.alloc(wanted);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}
