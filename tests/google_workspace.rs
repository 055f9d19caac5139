//! Google Workspace from end to end: its stand-in, the connector, the engine, the journal, a sink. Most of it runs in
//! process on the paused clock; `sockets` runs the binary.
//!
//! Which of the vendor's known traps is closed where:
//!
//! | trap | test |
//! |---|---|
//! | G1 a cursor moved by page one loses the rest of a chain that breaks | `walks::newest_first_…` |
//! | G2, G4, G5 events that show up minutes to days late, by no reliable number | `pace::what_is_visible_in_time_…`, `pace::seventy_two_hours_late_…`, `week` |
//! | G3 overlapping reads double | `week`: documents are created once, and repeated within a bound |
//! | G6 an activity of several events loses some | `week`: a document for each of `events[]` |
//! | G7 one query for each event name burns the quota | `pace::steady_state_…` |
//! | G8 a page token outlives its chain | `walks::newest_first_…`: no request is answered 400 |
//! | G9 a 401 that no new token cures | `rights::an_administrator_without_the_privilege_…` |
//! | G10 members that are missing | `answers::c35_…`, `answers::odd_records_…` |
//! | G11, G12 words and numbers of other forms | `connectors/src/google_workspace/tests/records.rs` |
//! | G13 a lost licence reads as silence | `rights::what_an_administrator_without_a_licence_…` |
//! | G14 a restart in a backlog begins it again | `walks::a_backlog_…` |

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;

#[path = "google_workspace/answers.rs"]
mod answers;
#[path = "google_workspace/outages.rs"]
mod outages;
#[path = "google_workspace/pace.rs"]
mod pace;
#[path = "google_workspace/rights.rs"]
mod rights;
#[path = "google_workspace/scene.rs"]
mod scene;
#[path = "google_workspace/sockets.rs"]
mod sockets;
#[path = "google_workspace/walks.rs"]
mod walks;
#[path = "google_workspace/week.rs"]
mod week;
