//! What becomes of the fields whose type Duo does not keep: a store takes the type of the first document that brings a
//! field, and refuses a later one that contradicts it. All others are kept under the namespace as they are.

use tidegate_core::event::{Field, Shape, Table};
use tidegate_core::field;

/// For all logs: a name means the same in each of them.
pub const RECORD: Table = Table { fields: FIELDS, ..Table::EMPTY };

const FIELDS: &[Field] = &[
    // Text, or an object with a name.
    field!("action", Shape::Keyword).event(),
    field!("access_device", Shape::Object(DEVICE)),
    field!("auth_device", Shape::Object(DEVICE)),
];

const DEVICE: &[Field] = &[
    field!("hostname", Shape::Keyword),
    // An address, one with a port, a name, or in the activity log an object: a field named `ip` takes addresses only.
    field!("ip" => "address", Shape::Keyword).event(),
    // A boolean, or the text `unknown`.
    field!("is_encryption_enabled", Shape::Keyword),
    field!("is_firewall_enabled", Shape::Keyword),
    field!("is_password_set", Shape::Keyword),
    field!("key", Shape::Keyword),
    field!("name", Shape::Keyword),
    // Text, or a list of objects.
    field!("security_agents", Shape::Keyword),
];
