//! Whether two versions of a record say the same.

use super::value::{Kind, Value};
use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

/// The hash that stands for a record's id in keys.
#[must_use]
pub fn id_hash(id: &str) -> u128 {
    xxh3_128(id.as_bytes())
}

/// An order-free sum of leaf hashes: the order of members, white space and the way a string is escaped do not count; the
/// order of elements, the spelling of numbers and `null` do. `volatile` names members (dotted, from the root; arrays
/// are passed through) that are left out with all they contain.
#[must_use]
pub fn meaning(value: Value<'_, '_>, volatile: &[&str]) -> u64 {
    let root = Place { path: 0, name: 0 };
    let left_out: SmallVec<[u64; 2]> = volatile
        .iter()
        .map(|path| path.split('.').fold(root.name, |name, key| xxh3_64_with_seed(key.as_bytes(), name)))
        .collect();
    // Only containers wait; most leaves are counted where they are met.
    let mut todo: SmallVec<[(Value<'_, '_>, Place); 16]> = SmallVec::new();
    let mut sum = leaf(value, root.path).unwrap_or_else(|| {
        todo.push((value, root));
        0
    });
    while let Some((value, place)) = todo.pop() {
        let mut empty = true;
        for (key, member) in value.members() {
            empty = false;
            let key = key.decode();
            let path = xxh3_64_with_seed(key.as_bytes(), place.path);
            // They are the same until an array is passed through, and nobody asks for names where nothing is left out.
            let name = if place.name == place.path || left_out.is_empty() {
                path
            } else {
                xxh3_64_with_seed(key.as_bytes(), place.name)
            };
            if left_out.contains(&name) {
                continue;
            }
            match leaf(member, path) {
                Some(leaf) => sum = sum.wrapping_add(leaf),
                None => todo.push((member, Place { path, name })),
            }
        }
        for (at, element) in value.elements().enumerate() {
            empty = false;
            let path = xxh3_64_with_seed(&(at as u64).to_le_bytes(), place.path ^ ARRAY);
            match leaf(element, path) {
                Some(leaf) => sum = sum.wrapping_add(leaf),
                None => todo.push((element, Place { path, name: place.name })),
            }
        }
        if empty {
            let none: &[u8] = if value.kind() == Kind::Object { b"{}" } else { b"[]" };
            sum = sum.wrapping_add(xxh3_64_with_seed(none, place.path));
        }
    }
    sum
}

/// The hash of what contains nothing.
#[inline(always)]
fn leaf(value: Value<'_, '_>, path: u64) -> Option<u64> {
    match value.kind() {
        Kind::Object | Kind::Array => None,
        Kind::String => {
            let text = value.as_text()?;
            Some(xxh3_64_with_seed(text.decode().as_bytes(), path ^ STRING))
        }
        Kind::Null | Kind::Bool | Kind::Number => Some(xxh3_64_with_seed(value.raw().as_bytes(), path)),
    }
}

/// Keeps the string `"1"` apart from the number `1`.
const STRING: u64 = 0x0053_5452_494e_4700;
/// Keeps an element's place apart from a member whose key has the same bytes.
const ARRAY: u64 = 0x0041_5252_4159_0000;

#[derive(Clone, Copy)]
struct Place {
    /// With the places of elements.
    path: u64,
    /// Without: what `volatile` speaks of.
    name: u64,
}
