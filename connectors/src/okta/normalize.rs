//! Okta's records as events. (in work)

use tidegate_core::event::Emit;
use tidegate_core::json::Value;
use tidegate_core::source::{Identity, NormalizeError};

pub(crate) fn identity<'r>(_record: Value<'_, 'r>) -> Identity<'r> {
    Identity { id: None, time: None }
}

pub(crate) fn normalize<'r>(_record: Value<'_, 'r>, _emit: &mut Emit<'_, 'r>) -> Result<(), NormalizeError> {
    Ok(())
}
