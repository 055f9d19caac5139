//! Google Workspace from end to end: its stand-in, the connector, the engine, the journal, a sink. Most of it runs in
//! process on the paused clock; `sockets` runs the binary.
//!
//! Which of the vendor's known traps is closed where:
//!
//! | trap | test |
//! |---|---|
//! | G1 a cursor moved by page one loses the rest of a chain that breaks | `walks::newest_first_pages_with_kills_between_them_never_advance_the_ledger_early` |
//! | G2, G4, G5 events that show up minutes to days late, by no reliable number | `pace::what_shows_up_late_arrives_by_the_next_horizon`, `week`, `pace::seventy_two_hours_late_is_not_too_late` |
//! | G3 overlapping reads double | `week`: documents are created once, and repeated within a bound |
//! | G6 an activity of several events loses some | `week`: a document for each of `events[]` |
//! | G7 one query for each event name burns the quota | `pace::steady_state_is_never_refused_and_takes_half_of_any_minute` |
//! | G8 a page token outlives its chain | `walks::newest_first_…`: no request is answered 400 |
//! | G9 a 401 that no new token cures | `rights::an_administrator_without_the_privilege_costs_no_more_tokens` |
//! | G10 members that are missing | `answers::c35_…`, `answers::odd_records_are_kept_one_by_one` |
//! | G11, G12 words and numbers of other forms | `connectors/src/google_workspace/tests/records.rs` |
//! | G13 a lost licence reads as silence | `rights::what_an_administrator_without_a_licence_did_not_see_is_read_later` |
//! | G14 a restart in a backlog begins it again | `walks::a_backlog_goes_on_where_it_was_killed` |

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
