//! Where a value's bracket is closed, 64 bytes at a time: three quarters of an answer are strings, most of them too short to
//! be searched one by one.

use wide::u8x16;

/// Bytes that are looked at together.
const BITS: usize = 64;

/// Where the bracket is closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// By this byte.
    At(usize),
    /// The body ends before it is.
    Nowhere,
    /// A backslash stands outside of strings, so that this is no JSON: who reads it byte by byte decides.
    Unclear,
}

/// One bit for each byte of a block.
struct Marks {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

/// Looks from an opening bracket, at `from`, on. Brackets of both kinds count alike: whether they fit is the matter of who
/// reads the record.
pub(super) fn closing(body: &[u8], from: usize) -> Closing {
    let (blocks, rest) = body.get(from..).unwrap_or_default().as_chunks::<BITS>();
    let mut last = [0; BITS];
    for (to, byte) in last.iter_mut().zip(rest) {
        *to = *byte;
    }
    // How many brackets are open; all ones while a string goes on into the next block, and 1 while an escape does.
    let (mut depth, mut inside, mut escape) = (0_u64, 0_u64, 0_u64);
    for (block, at) in blocks.iter().chain([&last]).zip((from..).step_by(BITS)) {
        let marks = marks(block);
        let quotes = marks.quotes & !escaped(marks.backslashes, &mut escape);
        // From each quote that opens on, up to before the one that closes.
        let strings = parity(quotes) ^ inside;
        if marks.backslashes & !strings != 0 {
            return Closing::Unclear;
        }
        inside = 0_u64.wrapping_sub(strings >> (BITS - 1));
        let (opening, closing) = (marks.opening & !strings, marks.closing & !strings);
        let (opened, closed) = (u64::from(opening.count_ones()), u64::from(closing.count_ones()));
        if closed < depth {
            depth = depth.wrapping_add(opened).wrapping_sub(closed);
            continue;
        }
        let mut todo = opening | closing;
        while todo != 0 {
            let bit = todo & todo.wrapping_neg();
            todo ^= bit;
            if opening & bit != 0 {
                depth = depth.wrapping_add(1);
                continue;
            }
            depth = depth.wrapping_sub(1);
            if depth == 0 {
                return Closing::At(at.wrapping_add(bit.trailing_zeros() as usize));
            }
        }
    }
    Closing::Nowhere
}

#[inline(always)]
fn marks(block: &[u8; BITS]) -> Marks {
    let (quarters, _) = block.as_chunks::<16>();
    let none = Marks { quotes: 0, backslashes: 0, opening: 0, closing: 0 };
    quarters.iter().rev().fold(none, |marks, quarter| {
        let bytes = u8x16::new(*quarter);
        // `[` and `{` differ by one bit, and so do `]` and `}`.
        let folded = bytes | u8x16::splat(0x20);
        let next = |marks: u64, found: u8x16| marks << 16 | u64::from(found.to_bitmask());
        Marks {
            quotes: next(marks.quotes, bytes.simd_eq(b'"')),
            backslashes: next(marks.backslashes, bytes.simd_eq(b'\\')),
            opening: next(marks.opening, folded.simd_eq(b'{')),
            closing: next(marks.closing, folded.simd_eq(b'}')),
        }
    })
}

/// Which bytes have an odd number of backslashes right before them; `carried`: whether the block before ended so.
#[inline(always)]
fn escaped(backslashes: u64, carried: &mut u64) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    if backslashes == 0 {
        return std::mem::take(carried);
    }
    // A carry runs through each run of backslashes that begins at an odd place, and comes out behind it.
    let backslashes = backslashes & !*carried;
    let behind = backslashes << 1 | *carried;
    let odd_starts = backslashes & !EVEN & !behind;
    let (runs, over) = odd_starts.overflowing_add(backslashes);
    *carried = u64::from(over);
    (EVEN ^ runs << 1) & behind
}

/// Each bit says whether an odd number of bits is set up to it.
#[inline(always)]
fn parity(bits: u64) -> u64 {
    [1, 2, 4, 8, 16, 32].into_iter().fold(bits, |bits, by| bits ^ bits << by)
}
