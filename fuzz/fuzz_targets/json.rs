//! The record reader against serde_json: it accepts and refuses the same bytes and reads the same values. The one
//! difference, half surrogate pairs, is told by serde_json's own error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value as Reference;
use tidegate_core::json::{Kind, Tape, Value, meaning};

fn read(value: Value<'_, '_>) -> Reference {
    match value.kind() {
        Kind::Null => Reference::Null,
        Kind::Bool => value.as_bool().expect("a boolean").into(),
        Kind::Number => serde_json::from_str(value.as_number().expect("a number")).expect("a number"),
        Kind::String => value.as_text().expect("a string").decode().into_owned().into(),
        Kind::Array => value.elements().map(read).collect(),
        Kind::Object => {
            let mut object = serde_json::Map::new();
            for (key, member) in value.members() {
                assert!(
                    object.insert(key.decode().into_owned(), read(member)).is_none(),
                    "a key comes twice"
                );
            }
            object.into()
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut tape = Tape::new();
    let ours = tape.cut(bytes);
    let theirs = serde_json::from_slice::<Reference>(bytes);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(read(ours), theirs);
            let _ = meaning(ours, &["a.b"]);
        }
        (Err(_), Err(_)) => {}
        (Ok(ours), Err(error)) => {
            let said = error.to_string();
            assert!(said.contains("surrogate") || said.contains("unexpected end of hex escape"), "{said}");
            let _ = read(ours);
        }
        (Err(error), Ok(_)) => panic!("{error}"),
    }
});
