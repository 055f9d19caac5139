//! Whether two versions of a record say the same.

use super::value::{Kind, Value};
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
    let left_out: Vec<u64> = volatile
        .iter()
        .map(|path| path.split('.').fold(root.name, |name, key| xxh3_64_with_seed(key.as_bytes(), name)))
        .collect();
    let mut sum: u64 = 0;
    let mut todo = vec![(value, root)];
    while let Some((value, place)) = todo.pop() {
        let leaf = match value.kind() {
            Kind::Object => {
                let mut empty = true;
                for (key, member) in value.members() {
                    empty = false;
                    let key = key.decode();
                    let name = xxh3_64_with_seed(key.as_bytes(), place.name);
                    let path = xxh3_64_with_seed(key.as_bytes(), place.path);
                    if !left_out.contains(&name) {
                        todo.push((member, Place { path, name }));
                    }
                }
                if !empty {
                    continue;
                }
                xxh3_64_with_seed(b"{}", place.path)
            }
            Kind::Array => {
                let mut empty = true;
                for (at, element) in value.elements().enumerate() {
                    empty = false;
                    let path = xxh3_64_with_seed(&(at as u64).to_le_bytes(), place.path ^ ARRAY);
                    todo.push((element, Place { path, name: place.name }));
                }
                if !empty {
                    continue;
                }
                xxh3_64_with_seed(b"[]", place.path)
            }
            Kind::String => {
                let text = value.as_text().map(super::Text::into_cow).unwrap_or_default();
                xxh3_64_with_seed(text.as_bytes(), place.path ^ STRING)
            }
            Kind::Null | Kind::Bool | Kind::Number => xxh3_64_with_seed(value.raw().as_bytes(), place.path),
        };
        sum = sum.wrapping_add(leaf);
    }
    sum
}

/// Keeps the string `"1"` apart from the number `1`.
const STRING: u64 = 0x5354_5249_4e47;
/// Keeps an element's place apart from a member whose key has the same bytes.
const ARRAY: u64 = 0x0041_5252_4159;

#[derive(Clone, Copy)]
struct Place {
    /// With the places of elements.
    path: u64,
    /// Without: what `volatile` speaks of.
    name: u64,
}
