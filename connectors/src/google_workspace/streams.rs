//! Google's logs as streams: one for each application of the Reports API, and the alerts of the Alert Center.
//!
//! The list of applications grows by several a year, so a name that is not in the table makes a stream too.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tidegate_core::source::{Names, Stream, StreamKind};

/// The stream that is no application of the Reports API.
pub(super) const ALERTS: &str = "alerts";

/// Longer names are none of Google's (the longest known one has 25 letters).
const LONGEST_NAME: usize = 64;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// What all streams have in common.
const WINDOWS: StreamKind = StreamKind::Windowed {
    // Google's page of lag times names minutes for some applications and hours for others, has changed both ways, and
    // says that events may be later than stated: one set for all of them, up to the longest delay known in the field.
    settle: &[
        Duration::from_secs(30 * 60),
        Duration::from_secs(4 * 3600),
        DAY,
        Duration::from_secs(72 * 3600),
    ],
    // "A couple of minutes" is the shortest lag that the page promises.
    visible_after: Duration::from_secs(2 * 60),
    // `id.time` has milliseconds.
    unit: Duration::from_millis(1),
    // A busy day of `drive` or `token` is some hundred pages, which is as much as should be walked again when a page
    // token is refused. Google's own bound is 30 days, and only for `gmail`.
    widest: DAY,
};

/// Google keeps 180 days of every log; a request for exactly that much would be late by the time it arrives. Nothing
/// that we know of says how long alerts are kept.
const RETENTION: Duration = Duration::from_secs(180 * 86_400 - HOUR.as_secs());

const fn stream(name: &'static str, default: bool, names: &'static Names) -> Stream {
    Stream {
        name,
        kind: WINDOWS,
        default,
        // Alerts have a status that people change, and Google adds to them.
        immutable: !matches!(name.as_bytes(), b"alerts"),
        retention: RETENTION,
        poll: MINUTE,
        names,
    }
}

const fn names(dataset: &'static str, sourcetype: &'static str) -> Names {
    Names {
        dataset,
        namespace: "google_workspace",
        vendor: "Google",
        product: "Google Workspace",
        sourcetype,
        leef: ("Google", "Workspace"),
    }
}

/// Rows are `name => data set in sourcetype, by default`. Data set and sourcetype have the application's name, but where
/// existing content asks for another.
macro_rules! streams {
    ($($name:literal $(=> $dataset:literal)? $(in $sourcetype:literal)? $(, $default:literal)?;)+) => {
        &[$(stream(
            $name,
            false $(|| $default)?,
            const { &names(
                streams!(@ concat!("google_workspace.", $name) $(, $dataset)?),
                streams!(@ concat!("gws:reports:", $name) $(, $sourcetype)?),
            ) },
        )),+]
    };
    (@ $usual:expr) => { $usual };
    (@ $usual:expr, $other:literal) => { $other };
}

/// All that are known: the Reports API's applications by its discovery document of September 2026, and `alerts`.
pub static STREAMS: &[Stream] = streams! {
    "access_evaluation";
    "access_transparency";
    "admin", true;
    "admin_data_action";
    "alerts" => "google_workspace.alert" in "gws:alerts";
    "assignments";
    "calendar";
    "chat";
    "chrome";
    "chrome_sync";
    "classroom";
    "cloud_search";
    "contacts";
    "context_aware_access";
    "data_migration";
    "data_studio";
    "directory_sync";
    "drive", true;
    "gcp";
    "gemini_in_workspace_apps";
    "gemini_notebook";
    "gmail";
    "gplus";
    "graduation";
    "groups";
    "groups_enterprise" => "google_workspace.group_enterprise", true;
    "jamboard";
    "keep";
    "ldap";
    "login", true;
    "meet";
    "meet_hardware";
    "mobile" => "google_workspace.device";
    "profile";
    "rules";
    "saml", true;
    "takeout";
    "tasks";
    "token", true;
    "user_accounts", true;
    "vault";
    "voice";
    "workspace_studio";
};

/// Applications that were asked for by name and are not in [`STREAMS`]. A stream lives as long as the process, so each is
/// made once, however often a configuration is read.
static NAMED: Mutex<Vec<&'static Stream>> = Mutex::new(Vec::new());

/// The stream of this name: one that is known, or one for whatever application Google has of it.
pub(super) fn find(name: &str) -> Option<&'static Stream> {
    STREAMS.iter().find(|stream| stream.name == name).or_else(|| named(name))
}

fn named(name: &str) -> Option<&'static Stream> {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if !plain || name.len() > LONGEST_NAME {
        return None;
    }
    let mut known = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(stream) = known.iter().find(|stream| stream.name == name) {
        return Some(stream);
    }
    let kept = |text: String| -> &'static str { text.leak() };
    let names = names(kept(format!("google_workspace.{name}")), kept(format!("gws:reports:{name}")));
    let made: &'static Stream =
        Box::leak(Box::new(stream(kept(name.to_owned()), false, Box::leak(Box::new(names)))));
    known.push(made);
    Some(made)
}
