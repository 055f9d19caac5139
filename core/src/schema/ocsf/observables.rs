//! `observables`: what of a document analysts search for, each under the path where it stands.

use crate::event::is_ip;
use crate::json::Text;
use crate::schema::Writer;
use smallvec::SmallVec;

/// What is written of an observable before its value: the path where that stands in the document, and its sort.
pub(super) type Label = &'static str;

/// `label!("user.uid", 31, "User: Unique ID")`
macro_rules! label {
    ($path:expr, $id:literal, $sort:literal) => {
        concat!(",{\"name\":\"", $path, "\",\"type_id\":", $id, ",\"type\":\"", $sort, "\",\"value\":")
    };
}

/// What analysts search for of a user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) uid: Label,
    pub(super) name: Label,
    pub(super) email: Label,
}

/// The same of a group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) uid: Label,
    pub(super) name: Label,
}

/// Of where something came from.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) ip: Label,
    pub(super) agent: Label,
}

macro_rules! user {
    ($path:literal) => {
        User {
            uid: label!(concat!($path, ".uid"), 31, "User: Unique ID"),
            name: label!(concat!($path, ".name"), 4, "User Name"),
            email: label!(concat!($path, ".email_addr"), 5, "Email Address"),
        }
    };
}

macro_rules! group {
    ($path:literal) => {
        Group {
            uid: label!(concat!($path, ".uid"), 33, "Group: Unique ID"),
            name: label!(concat!($path, ".name"), 32, "Group: Name"),
        }
    };
}

macro_rules! origin {
    ($above:literal) => {
        Origin {
            ip: label!(concat!($above, "src_endpoint.ip"), 2, "IP Address"),
            agent: label!(concat!($above, "http_request.user_agent"), 16, "HTTP User-Agent"),
        }
    };
}

pub(super) const USER: User = user!("user");
pub(super) const USERS: User = user!("users[]");
pub(super) const ACTOR: User = user!("actor.user");
pub(super) const ENTITY_USER: User = user!("entity.user");
pub(super) const EVIDENCE_ACTOR: User = user!("evidences[0].actor.user");
pub(super) const GROUP: Group = group!("group");
pub(super) const ENTITY_GROUP: Group = group!("entity.group");
pub(super) const ORIGIN: Origin = origin!("");
pub(super) const EVIDENCE_ORIGIN: Origin = origin!("evidences[0].");
pub(super) const DEVICE_UID: Label = label!("device.uid", 47, "Device: Unique ID");
pub(super) const DEVICE_HOSTNAME: Label = label!("device.hostname", 1, "Hostname");
pub(super) const RESOURCES_UID: Label = label!("resources[].uid", 10, "Resource UID");
pub(super) const ENTITY_UID: Label = label!("entity.uid", 10, "Resource UID");
pub(super) const FILE_NAME: Label = label!("file.name", 7, "File Name");

/// No document has more of them than this.
const MOST: usize = 24;

/// Collected while a document is written.
#[derive(Debug)]
pub(super) struct Observables<'e, 'r> {
    found: SmallVec<[(Label, &'e Text<'r>); MOST]>,
}

impl<'e, 'r> Observables<'e, 'r> {
    pub(super) fn new() -> Self {
        Self { found: SmallVec::new() }
    }

    pub(super) fn add(&mut self, label: Label, text: &'e Text<'r>) {
        if self.found.len() < MOST {
            self.found.push((label, text));
        }
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        let open = out.open(",\"observables\":");
        for (label, text) in &self.found {
            out.put(label);
            out.string(text);
            out.put("}");
        }
        out.close_array(open);
    }
}

/// The type `ip_t` has room for 40 characters.
pub(super) fn is_short(ip: &Text<'_>) -> bool {
    ip.len_at_most() <= 42
}

/// An address that the type takes.
pub(super) fn is_short_ip(text: &Text<'_>) -> bool {
    is_short(text) && is_ip(text)
}
