//! What the journal on a disk must do beyond what every journal must.

use super::*;
use crate::testkit::journal as kit;
use std::path::Path;

fn file(dir: &Path, options: OpenOptions) -> Result<Box<dyn Journal>, JournalError> {
    Ok(Box::new(FileJournal::open(dir, options)?))
}

#[test]
fn conforms() {
    kit::conformance(&file);
}
