//! (in work)
/// All.
#[must_use]
pub fn all() -> Vec<(String, String)> {
    Vec::new()
}
